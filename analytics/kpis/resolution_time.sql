-- kpi: resolution_time
-- title: Resolution time
-- unit: seconds
-- kind: duration
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: From the last opening of a conversation (its beginning, or its last reopening) to its resolving, snoozed and pending time included. Credited to its assignee, or to who resolved it if it had none. Counts by when it ended; average exact, percentiles within 1 %.
SELECT bucket, dimension, key,
    hist_quantile(hist_merge(resolution_time_hist), 0.5) AS value,
    sum(resolutions) AS count,
    sum(resolution_time_micros) / 1000000.0 / nullif(sum(resolutions), 0) AS average,
    hist_quantile(hist_merge(resolution_time_hist), 0.5) AS p50,
    hist_quantile(hist_merge(resolution_time_hist), 0.9) AS p90,
    hist_quantile(hist_merge(resolution_time_hist), 0.95) AS p95,
    hist_quantile(hist_merge(resolution_time_hist), 0.99) AS p99,
    hist_merge(resolution_time_hist) AS histogram
FROM cells
GROUP BY bucket, dimension, key
