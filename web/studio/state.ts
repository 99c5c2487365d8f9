// The state of the page; components subscribe to it.

import { useEffect, useState } from "preact/hooks";
import { call, follow, Refusal, type Catalogue, type Generator, type Job, type Status } from "./api";

export type Tab = "make" | "forget" | "audit" | "report";
const TABS: Tab[] = ["make", "forget", "audit", "report"];

export interface Knowledge {
  tab: Tab;
  catalogue: Catalogue | null;
  generators: Generator[];
  jobs: Map<string, Job>;
  status: Status | null;
  connected: boolean;
  stale: boolean;
  notice: string;
  /** Generators of the next motion. */
  chosen: string[];
  prompt: string;
  report: string;
  /** Format and switches of downloads. */
  saving: Record<string, unknown>;
}

function remembered(): Record<string, unknown> {
  try {
    return { ...JSON.parse(localStorage.getItem("exuvia-download") ?? "{}") };
  } catch {
    return {}; // the browser keeps nothing
  }
}

function tabOf(hash: string): Tab {
  const name = hash.replace(/^#\/?/, "") as Tab;
  return TABS.includes(name) ? name : "make";
}

export const known: Knowledge = {
  tab: tabOf(location.hash),
  catalogue: null,
  generators: [],
  jobs: new Map(),
  status: null,
  connected: true,
  stale: false,
  notice: "",
  chosen: [],
  prompt: "",
  report: "",
  saving: remembered(),
};
const listeners = new Set<() => void>();

export function change(changes: Partial<Knowledge>): void {
  Object.assign(known, changes);
  for (const listener of listeners) listener();
}

/** Sets a switch of downloads, now and for later visits. */
export function saveAs(name: string, value: unknown): void {
  change({ saving: { ...known.saving, [name]: value } });
  try {
    localStorage.setItem("exuvia-download", JSON.stringify(known.saving));
  } catch {}
}

/** Re-renders a component whenever the state changes. */
export function useKnown(): Knowledge {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((count) => count + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return known;
}

/** Runs an action and shows its error, if any. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    const made = await work();
    if (known.notice) change({ notice: "" });
    return made;
  } catch (error) {
    if (error instanceof Refusal && error.status === 409) change({ stale: true });
    else change({ notice: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}

export async function loadGenerators(): Promise<void> {
  const generators = await attempt(() => call<Generator[]>("/generators"));
  if (!generators) return;
  const there = new Set(generators.map((one) => one.id));
  const chosen = known.chosen.filter((id) => there.has(id));
  change({ generators, chosen: chosen.length || !generators.length ? chosen : [generators[0].id] });
}

function learn(job: Job): void {
  const before = known.jobs.get(job.id);
  if (before && before.revision > job.revision) return;
  known.jobs.set(job.id, job);
  if (job.kind === "unlearn" && job.state === "done" && before?.state !== "done") void loadGenerators();
  change({});
}

export function keep(job: Job | undefined): Job | undefined {
  if (job) learn(job);
  return job;
}

export async function loadJobs(): Promise<void> {
  const jobs = await attempt(() => call<Job[]>("/jobs?limit=100"));
  for (const job of jobs ?? []) known.jobs.set(job.id, job);
  change({});
}

export function jobsOf(...kinds: Job["kind"][]): Job[] {
  return [...known.jobs.values()].filter((job) => kinds.includes(job.kind)).sort((a, b) => b.created - a.created);
}

export const cancel = (job: Job) => attempt(() => call<Job>(`/jobs/${job.id}/cancel`, "POST")).then(keep);
export const again = (job: Job) => attempt(() => call<Job>(`/jobs/${job.id}/again`, "POST")).then(keep);
export async function forget(job: Job): Promise<void> {
  await attempt(() => call(`/jobs/${job.id}`, "DELETE"));
  known.jobs.delete(job.id);
  change({});
}

export function go(tab: Tab): void {
  if (location.hash !== `#/${tab}`) location.hash = `#/${tab}`;
  change({ tab });
}

async function untilReady(): Promise<void> {
  const status = await attempt(() => call<Status>("/status"));
  if (status) change({ status });
  const needs = !known.catalogue?.methods.length;
  if (status?.ready && needs) {
    const catalogue = await attempt(() => call<Catalogue>("/catalogue"));
    if (catalogue) change({ catalogue });
  }
  setTimeout(() => void untilReady(), status?.ready && known.catalogue?.methods.length ? 10_000 : 700);
}

export async function begin(): Promise<void> {
  addEventListener("hashchange", () => change({ tab: tabOf(location.hash) }));
  const catalogue = await attempt(() => call<Catalogue>("/catalogue"));
  if (catalogue) change({ catalogue });
  await loadGenerators();
  await loadJobs();
  let lost = false;
  follow(learn, (connected) => {
    if (connected && lost) void loadJobs();
    lost = !connected;
    if (known.connected !== connected) change({ connected });
  });
  void untilReady();
}
