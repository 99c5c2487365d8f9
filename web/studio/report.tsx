// "Report": compares an edited generator with its original, and shows pages of finished benchmarks.

import { useEffect, useState } from "preact/hooks";
import { call, type Job } from "./api";
import { JobCard } from "./jobs";
import { attempt, jobsOf, useKnown } from "./state";

interface Row {
  set: string;
  method: string;
  metric: string;
  mean: number;
  low: number | null;
  high: number | null;
}
interface Evaluation {
  report: { rows: Row[]; notes: string[] };
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
  const sets = [...new Set(found.report.rows.map((row) => row.set))];
  return (
    <>
      {sets.map((name) => (
        <div key={name}>
          <h3>
            {name} <span class="facts">{BETTER[name] ?? ""}</span>
          </h3>
          <Table rows={found.report.rows.filter((row) => row.set === name)} names={found.names} />
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

function Table({ rows, names }: { rows: Row[]; names: Record<string, string> }) {
  const methods = [...new Set(rows.map((row) => row.method))];
  const metrics = [...new Set(rows.map((row) => row.metric))];
  const cell = (metric: string, method: string) => {
    const row = rows.find((one) => one.metric === metric && one.method === method);
    if (!row) return "";
    const spread = row.low === null || row.high === null ? "" : ` ± ${((row.high - row.low) / 2).toPrecision(2)}`;
    return row.mean.toPrecision(4) + spread;
  };
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="Measurements">
      <table>
        <thead>
          <tr>
            <th scope="col">metric</th>
            {methods.map((method) => (
              <th scope="col" key={method}>
                {names[method] ?? method}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {metrics.map((metric) => (
            <tr key={metric}>
              <th scope="row">{metric.replaceAll("_", " ")}</th>
              {methods.map((method) => (
                <td key={method}>{cell(metric, method)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
