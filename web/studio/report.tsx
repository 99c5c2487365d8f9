// "Report": what an edit forgot and kept, beside its original; and the pages of finished benchmarks.

import { useEffect, useState } from "preact/hooks";
import { call, type Job } from "./api";
import { JobCard } from "./jobs";
import { attempt, jobsOf, useKnown } from "./state";

interface Value {
  value: number;
  low: number | null;
  high: number | null;
}
type Metrics = Record<string, Record<string, Value>>;
interface Evaluation {
  report: { notes: string[]; about: Record<string, unknown> } & Record<string, unknown>;
  names: Record<string, string>;
}

export function Report() {
  useKnown();
  const [pages, setPages] = useState<{ id: string; name: string }[]>([]);
  const [open, setOpen] = useState("");
  useEffect(() => {
    void attempt(() => call<{ id: string; name: string }[]>("/reports")).then((found) => {
      setPages(found ?? []);
      setOpen(found?.[0]?.id ?? "");
    });
  }, []);
  const jobs = jobsOf("evaluate");
  return (
    <div class="stack wide">
      {jobs.map((job) => (
        <JobCard job={job} key={job.id}>
          {job.state === "done" ? <Tables job={job} /> : null}
        </JobCard>
      ))}
      {pages.length ? (
        <article class="job done">
          <header>
            <h2>Benchmarks</h2>
            <span class="job-actions">
              {pages.map((page) => (
                <button type="button" class="switch small" key={page.id} aria-pressed={open === page.id} onClick={() => setOpen(page.id)}>
                  {page.name}
                </button>
              ))}
            </span>
          </header>
          {open ? <iframe title="Benchmark report" src={`/reports/${open}`} sandbox="allow-scripts" /> : null}
        </article>
      ) : null}
      {jobs.length || pages.length ? null : (
        <p class="empty">
          Edit a generator under "Forget" and ask for its report, or start the studio with a finished benchmark:{" "}
          <code>exuvia studio --reports violence runs/benchmark-violence</code>
        </p>
      )}
    </div>
  );
}

const BETTER: Record<string, string> = { forget: "what should be gone", retain: "what should stay", lookalike: "harmless look-alikes" };

function Tables({ job }: { job: Job }) {
  const [found, setFound] = useState<Evaluation | null>(null);
  useEffect(() => void attempt(() => call<Evaluation>(`/jobs/${job.id}/report`)).then((one) => setFound(one ?? null)), [job.id]);
  if (!found) return null;
  const sets = Object.entries(found.report).filter(([name]) => name !== "about" && name !== "notes") as [string, Metrics][];
  return (
    <>
      {sets.map(([name, metrics]) => (
        <div key={name}>
          <h3>
            {name} <span class="facts">{BETTER[name] ?? ""}</span>
          </h3>
          <Table metrics={metrics} names={found.names} />
        </div>
      ))}
      {found.report.notes.map((note) => (
        <p class="facts" key={note}>
          {note}
        </p>
      ))}
    </>
  );
}

function Table({ metrics, names }: { metrics: Metrics; names: Record<string, string> }) {
  const models = [...new Set(Object.values(metrics).flatMap((one) => Object.keys(one)))];
  const cell = (one: Value | undefined) => {
    if (!one) return "";
    const spread = one.low === null || one.high === null ? "" : ` ± ${((one.high - one.low) / 2).toPrecision(2)}`;
    return one.value.toPrecision(4) + spread;
  };
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="Measurements">
      <table>
        <thead>
          <tr>
            <th scope="col">metric</th>
            {models.map((model) => (
              <th scope="col" key={model}>
                {names[model] ?? model}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {Object.entries(metrics).map(([metric, values]) => (
            <tr key={metric}>
              <th scope="row">{metric.replaceAll("_", " ")}</th>
              {models.map((model) => (
                <td key={model}>{cell(values[model])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
