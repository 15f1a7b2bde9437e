-- kpi: reply_time
-- title: Reply time
-- unit: seconds
-- kind: duration
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: From the oldest message of the customer that no person had answered to the answer, for every wait of a conversation, the first one included. Bots do not stop the clock. Credited to who answered. Counts by when it ended; average exact, percentiles within 1 %.
SELECT bucket, dimension, key,
    hist_quantile(hist_merge(reply_time_hist), 0.5) AS value,
    sum(replies) AS count,
    sum(reply_time_micros) / 1000000.0 / nullif(sum(replies), 0) AS average,
    hist_quantile(hist_merge(reply_time_hist), 0.5) AS p50,
    hist_quantile(hist_merge(reply_time_hist), 0.9) AS p90,
    hist_quantile(hist_merge(reply_time_hist), 0.95) AS p95,
    hist_quantile(hist_merge(reply_time_hist), 0.99) AS p99,
    hist_merge(reply_time_hist) AS histogram
FROM cells
GROUP BY bucket, dimension, key
