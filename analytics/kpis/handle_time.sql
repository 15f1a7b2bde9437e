-- kpi: handle_time
-- title: Handle time
-- unit: seconds
-- kind: duration
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: How long a person had a conversation before it was resolved: the time since its last opening during which it was open and theirs, in one stretch or several; time snoozed, pending, unassigned or with others is left out. One for each person who had it, credited to them. Counts by when it ended; average exact, percentiles within 1 %.
SELECT bucket, dimension, key,
    hist_quantile(hist_merge(handle_time_hist), 0.5) AS value,
    sum(handlings) AS count,
    sum(handle_time_micros) / 1000000.0 / nullif(sum(handlings), 0) AS average,
    hist_quantile(hist_merge(handle_time_hist), 0.5) AS p50,
    hist_quantile(hist_merge(handle_time_hist), 0.9) AS p90,
    hist_quantile(hist_merge(handle_time_hist), 0.95) AS p95,
    hist_quantile(hist_merge(handle_time_hist), 0.99) AS p99,
    hist_merge(handle_time_hist) AS histogram
FROM cells
GROUP BY bucket, dimension, key
