/** A microphone is open only while somebody wants it. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Sound, SoundError } from "../src/client/sound";
import { Device } from "./device";

describe("the microphone", () => {
  let device: Device;
  let sound: Sound;
  let blocks = 0;
  const listen = (): Promise<boolean> => sound.listen(() => void blocks++);
  const asked = async (count = 1): Promise<void> => {
    await vi.waitUntil(() => device.questions === count, { interval: 1 });
  };

  beforeEach(() => {
    device = new Device();
    sound = Sound.make();
    blocks = 0;
  });
  afterEach(() => vi.unstubAllGlobals());

  it("is open until it is closed", async () => {
    const opened = listen();
    await asked();
    device.allow();
    expect(await opened).toBe(true);
    expect([sound.listening, device.open]).toEqual([true, 1]);
    device.hear();
    sound.stopListening();
    device.hear();
    expect([sound.listening, device.open, blocks]).toEqual([false, 0, 1]);
  });

  it("is open once where it was asked for twice, and closed for good", async () => {
    const first = listen();
    await asked();
    const second = listen();
    await asked(2);
    device.allow();
    device.allow();
    const opened = [await first, await second];
    expect(device.open).toBe(1);
    expect(opened).toEqual([false, true]);
    sound.stopListening();
    device.hear();
    expect([device.open, blocks]).toEqual([0, 0]);
  });

  it("stays closed where it was given up before the person allowed it", async () => {
    const opened = listen();
    await asked();
    sound.stopListening();
    device.allow();
    const told = await opened;
    expect([sound.listening, device.open]).toEqual([false, 0]);
    expect(told).toBe(false);
  });

  it("stays closed where all sound was closed before the person allowed it", async () => {
    const opened = listen();
    await asked();
    await sound.close();
    device.allow();
    const told = await opened;
    expect([device.open, told]).toEqual([0, false]);
  });

  it("is closed where it cannot be listened to", async () => {
    const opened = listen();
    await asked();
    device.context.audioWorklet.addModule = () => Promise.reject(new Error("offline"));
    device.allow();
    await expect(opened).rejects.toThrow("offline");
    expect([sound.listening, device.open]).toEqual([false, 0]);
  });

  it("says why it is refused, but not to who no longer wants it", async () => {
    const refused = listen();
    await asked();
    device.refuse();
    await expect(refused).rejects.toThrow(SoundError);
    const given = listen();
    await asked();
    sound.stopListening();
    device.refuse();
    expect(await given).toBe(false);
  });
});
