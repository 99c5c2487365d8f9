// The studio's API, typed by hand according to its OpenAPI description.

import type { PackedClip, Skeleton } from "../src/data";

export type State = "queued" | "running" | "done" | "failed" | "cancelled";
export type Label = "violent" | "fine" | "false_alarm";

export interface Job {
  id: string;
  kind: "generate" | "unlearn" | "audit" | "evaluate" | "look";
  state: State;
  title: string;
  message: string;
  done: number;
  total: number;
  left_s: number | null;
  ahead: number;
  attempt: number;
  revision: number;
  created: number;
  started: number | null;
  finished: number | null;
  request: Record<string, unknown>;
  result: { motions?: string[]; pipeline?: string; edit_s?: number } | null;
}

export interface Generator {
  id: string;
  name: string;
  origin: "shipped" | "given" | "edited";
  parent: string | null;
  job: string | null;
  facts: {
    method?: string;
    concept?: string;
    edit_s?: number;
    settings?: Record<string, unknown>;
    replaced?: Record<string, number[]> | null;
  };
  kept: boolean;
  created: number;
}

export interface Motion {
  id: string;
  job: string | null;
  generator: string | null;
  prompt: string;
  seed: number | null;
  violence: number | null;
  label: Label | null;
  note: string | null;
  detail: {
    codes: number[];
    replaced: number[];
    counts: Record<string, [number, number]>;
    concept: string | null;
    contacts: string;
    moments: number[] | null;
    intervals: number[] | null;
  };
  understood: string;
  doubts: string[];
  clip: PackedClip;
}

export interface Setting {
  name: string;
  about: string;
  type: "bool" | "int" | "float" | "text" | "choice";
  choices: (string | number)[];
  many: boolean;
  optional: boolean;
  minimum: number | null;
  maximum: number | null;
  default: unknown;
}

export interface Method {
  name: string;
  about: string;
  needs_data: boolean;
  settings: Setting[];
}

export interface Catalogue {
  concepts: string[];
  examples: string[];
  methods: Method[];
  kinds?: { name: string; prompts: number; violent: boolean | null; written: string }[];
  data: string[];
  formats: string[];
  uploads: string[];
  output: Setting[];
  /** What an upload can state: name and label. */
  source: Record<string, string>;
  threshold: number | null;
  skeleton: Skeleton;
}

export interface AuditLine {
  id: string;
  kind: string;
  text: string;
  violent: boolean | null;
  seed: number;
  score: number | null;
  slipped: boolean;
  motion: string | null;
  mark: Label | null;
  error?: string | null;
}

export interface Status {
  version: string;
  ready: boolean;
  workers: Record<string, boolean>;
  jobs: Record<string, number>;
  motions: number;
  revision: number;
}

const root = "/api/v1";
export const version = document.querySelector<HTMLMetaElement>('meta[name="exuvia-version"]')?.content ?? "";

export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function call<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const headers: Record<string, string> = { "X-Exuvia-Version": version };
  const form = body instanceof FormData;
  if (body !== undefined && !form) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    const sent = body === undefined ? undefined : form ? (body as FormData) : JSON.stringify(body);
    answer = await fetch(root + path, { method, headers, body: sent });
  } catch {
    throw new Refusal(0, "the studio does not answer; is it still running?");
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
    throw new Refusal(answer.status, String(problem.detail));
  }
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const fileOf = (motion: string, switches: Record<string, string>): string =>
  `${root}/motions/${motion}/file?${new URLSearchParams(switches)}`;
export const archiveOf = (generator: string): string => `${root}/generators/${generator}/file`;
export const auditTable = (job: string, form: "csv" | "json"): string => `${root}/jobs/${job}/audit?form=${form}`;

/** Follows the jobs; the browser reconnects automatically. */
export function follow(onJob: (job: Job) => void, connected: (yes: boolean) => void): void {
  const source = new EventSource(`${root}/events`);
  source.addEventListener("job", (event) => onJob(JSON.parse((event as MessageEvent<string>).data) as Job));
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => connected(false));
}
