/** Which avatar stands on the stage: the bundled one, or files of the person's own. */
import headAddress from "../../../src/kouxing/assets/head.glb?url";
import { AvatarError } from "../avatar/glb";
import { fetchAvatar, loadAvatar } from "../avatar/load";
import type { Stage } from "../avatar/stage";
import { $, announce, make, notice } from "./dom";

interface Card {
  button: HTMLElement;
  bytes: () => Promise<ArrayBuffer>;
}

/** A picture for the card is taken when the first frames have been drawn. */
const PORTRAIT_MS = 350;

export class Avatars {
  private cards: Card[] = [];
  private turn = 0;

  constructor(private readonly stage: Stage) {
    const head = document.querySelector<HTMLElement>('[data-avatar="head"]') as HTMLElement;
    this.add({ button: head, bytes: () => fetchAvatar(headAddress) });
    const picker = $<HTMLInputElement>("avatar-file");
    $("avatar-add").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      const file = picker.files?.[0];
      if (file !== undefined) void this.take(file);
      picker.value = "";
    });
  }

  async first(): Promise<void> {
    await this.choose(this.cards[0] as Card);
  }

  /** An avatar from the server or from another address of this page's origin. */
  async fetch(address: string): Promise<void> {
    await this.choose({ button: make("button"), bytes: () => fetchAvatar(address) });
  }

  async take(file: File): Promise<void> {
    const name = file.name.replace(/\.(glb|vrm)$/i, "");
    const button = make(
      "button", { class: "avatar", type: "button", role: "radio", "aria-checked": "false" },
      make("span", { class: "portrait", "aria-hidden": "true" }), make("span", { class: "name" }, name),
      make("span", { class: "hint" }, `${(file.size / 1e6).toFixed(1)} MB`),
    ); // prettier-ignore
    const card = { button, bytes: () => file.arrayBuffer() };
    if (await this.choose(card)) {
      $("avatars").insertBefore(button, $("avatar-add"));
      this.add(card);
      this.mark(card);
    }
  }

  private add(card: Card): void {
    this.cards.push(card);
    card.button.addEventListener("click", () => void this.choose(card));
    card.button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = this.cards[(this.cards.indexOf(card) + step + this.cards.length) % this.cards.length] as Card;
      next.button.focus();
      void this.choose(next);
    });
  }

  private mark(card: Card): void {
    for (const one of this.cards) {
      one.button.setAttribute("aria-checked", String(one === card));
      one.button.tabIndex = one === card ? 0 : -1;
    }
  }

  private async choose(card: Card): Promise<boolean> {
    const turn = ++this.turn;
    $("loading").hidden = false;
    try {
      const avatar = await loadAvatar(await card.bytes());
      if (turn !== this.turn) {
        avatar.dispose();
        return false;
      }
      this.stage.show(avatar);
      this.mark(card);
      const count = avatar.face.names.length;
      $("avatar-kind").textContent = `${avatar.face.kind}: follows ${count} ${count === 1 ? "movement" : "movements"}.`;
      announce("The avatar is ready.");
      setTimeout(() => void this.portrait(card.button), PORTRAIT_MS);
      return true;
    } catch (error) {
      if (turn === this.turn) notice(error instanceof AvatarError ? error.message : "The avatar could not be loaded.");
      if (!(error instanceof AvatarError)) console.error(error);
      return false;
    } finally {
      if (turn === this.turn) $("loading").hidden = true;
    }
  }

  private async portrait(button: HTMLElement): Promise<void> {
    const frame = button.querySelector(".portrait");
    if (frame === null || frame.querySelector("img") !== null) return;
    const picture = await this.stage.portrait(160);
    const image = make("img", { alt: "", src: URL.createObjectURL(picture) });
    image.addEventListener("load", () => URL.revokeObjectURL(image.src));
    frame.replaceChildren(image);
  }
}
