// A job's card: progress, remaining time and actions.

import type { ComponentChildren } from "preact";
import type { Job } from "./api";
import { again, cancel, forget } from "./state";

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function statusText(job: Job): string {
  if (job.state === "queued") return job.ahead ? `waits for ${job.ahead} other${job.ahead > 1 ? "s" : ""}` : "waits";
  if (job.state === "running") {
    const left = job.left_s === null ? "" : `, ${duration(job.left_s)} left`;
    const far = job.total > 1 ? `${job.done} of ${job.total}` : "";
    return [job.message || "at work", far].filter(Boolean).join(" · ") + left;
  }
  return job.message || (job.state === "done" ? "done" : job.state);
}

export function JobCard({ job, children }: { job: Job; children?: ComponentChildren }) {
  const open = job.state === "queued" || job.state === "running";
  return (
    <article class={`job ${job.state}`} data-job={job.id} data-state={job.state} aria-label={job.title}>
      <header>
        <h2>{job.title}</h2>
        <span class="job-actions">
          {open ? (
            <button type="button" class="switch small" onClick={() => void cancel(job)} disabled={job.message === "stopping"}>
              Cancel
            </button>
          ) : null}
          {job.state === "failed" || job.state === "cancelled" ? (
            <button type="button" class="switch small" onClick={() => void again(job)}>
              Run again
            </button>
          ) : null}
          {open ? null : (
            <button type="button" class="switch small quiet" title="Delete this from the history" onClick={() => void forget(job)}>
              Delete
            </button>
          )}
        </span>
      </header>
      {job.state === "done" ? null : (
        <p class="status-text" role="status">
          {statusText(job)}
        </p>
      )}
      {open ? (
        <progress max={Math.max(job.total, 1)} value={job.state === "running" && job.total ? job.done : undefined} aria-label="progress" />
      ) : null}
      {children}
    </article>
  );
}
