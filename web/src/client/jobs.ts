/** File jobs over HTTP: send files, watch progress, get results. */

export interface Job {
  id: string;
  kind: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  stage: string | null;
  done: number;
  total: number | null;
  error: string | { code: string; message: string } | null;
  results: (string | { name: string })[];
  warnings?: string[];
  [key: string]: unknown;
}

/** A sentence for the person in front of the screen. */
export class JobError extends Error {
  constructor(message: string, readonly code: string) {
    super(message);
  }
}

const POLL_MS = 400;

export class Jobs {
  /** `server`: `http(s)://…` of the server. */
  constructor(
    private readonly server: string,
    private readonly token: () => string | undefined = () => undefined,
  ) {}

  private address(path: string): string {
    return new URL(path, this.server.endsWith("/") ? this.server : `${this.server}/`).href;
  }

  private headers(): Record<string, string> {
    const token = this.token();
    return token === undefined ? {} : { Authorization: `Bearer ${token}` };
  }

  /** Uploads; `sent` is told 0..1 of it. */
  start(kind: "dub" | "score" | "animate", fields: Record<string, File | string>, sent: (share: number) => void, cancel?: AbortSignal): Promise<Job> {
    const form = new FormData();
    // Words first: a server that reads as it comes knows the wishes before the files.
    for (const [name, value] of Object.entries(fields)) if (typeof value === "string") form.append(name, value);
    for (const [name, value] of Object.entries(fields)) if (typeof value !== "string") form.append(name, value, value.name);
    return new Promise((done, fail) => {
      const request = new XMLHttpRequest();
      request.open("POST", this.address(`v1/jobs/${kind}`));
      for (const [name, value] of Object.entries(this.headers())) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => sent(event.lengthComputable ? event.loaded / event.total : 0);
      request.onerror = () => fail(new JobError("The server cannot be reached.", "network"));
      request.onabort = () => fail(new JobError("Cancelled.", "cancelled"));
      request.onload = () => {
        const body = parsed(request.responseText);
        if (request.status >= 200 && request.status < 300) done(body as unknown as Job);
        else fail(refusal(request.status, body));
      };
      cancel?.addEventListener("abort", () => request.abort());
      request.send(form);
    });
  }

  /** Looks again until the job is over; `seen` is told each time. */
  async watch(id: string, seen: (job: Job) => void, cancel?: AbortSignal): Promise<Job> {
    for (;;) {
      const job = await this.get(id);
      seen(job);
      if (job.state !== "queued" && job.state !== "running") return job;
      await new Promise((wake) => setTimeout(wake, POLL_MS));
      if (cancel?.aborted) {
        await this.remove(id);
        throw new JobError("Cancelled.", "cancelled");
      }
    }
  }

  async get(id: string): Promise<Job> {
    return (await (await this.ask(`v1/jobs/${id}`)).json()) as Job;
  }

  async remove(id: string): Promise<void> {
    await this.ask(`v1/jobs/${id}`, "DELETE");
  }

  async result(id: string, name: string): Promise<Blob> {
    return (await this.ask(`v1/jobs/${id}/results/${encodeURIComponent(name)}`)).blob();
  }

  private async ask(path: string, method = "GET"): Promise<Response> {
    let reply: Response;
    try {
      reply = await fetch(this.address(path), { method, headers: this.headers() });
    } catch (error) {
      throw new JobError("The server cannot be reached.", error instanceof Error ? error.name : "network");
    }
    if (!reply.ok) throw refusal(reply.status, parsed(await reply.text()));
    return reply;
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function refusal(status: number, body: Record<string, unknown>): JobError {
  const told = body["error"] as { code?: string; message?: string } | undefined;
  const words = status === 413 ? "The file is too large for this server." : `The server refused (${status}).`;
  return new JobError(told?.message ?? words, told?.code ?? String(status));
}
