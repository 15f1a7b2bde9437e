-- kpi: abandoned_wait
-- title: Abandoned waits
-- unit: seconds
-- kind: duration
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: Waits that ended because the conversation was resolved without an answer: from the oldest unanswered message to the resolving. Attributed to the assignee of that moment. Counts by when it ended; average exact, percentiles within 1 %.
SELECT bucket, dimension, key,
    hist_quantile(hist_merge(abandoned_wait_hist), 0.5) AS value,
    sum(abandoned_waits) AS count,
    sum(abandoned_wait_micros) / 1000000.0 / nullif(sum(abandoned_waits), 0) AS average,
    hist_quantile(hist_merge(abandoned_wait_hist), 0.5) AS p50,
    hist_quantile(hist_merge(abandoned_wait_hist), 0.9) AS p90,
    hist_quantile(hist_merge(abandoned_wait_hist), 0.95) AS p95,
    hist_quantile(hist_merge(abandoned_wait_hist), 0.99) AS p99,
    hist_merge(abandoned_wait_hist) AS histogram
FROM cells
GROUP BY bucket, dimension, key
