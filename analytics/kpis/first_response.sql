-- kpi: first_response
-- title: First response time
-- unit: seconds
-- kind: duration
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: From the opening of a conversation that the customer began (the latest opening, if it was resolved and reopened unanswered) to a person's first answer; at most once a conversation. Bots do not stop the clock; conversations that the workspace began have none. Credited to who answered. Counts by when it ended; average exact, percentiles within 1 %.
SELECT bucket, dimension, key,
    hist_quantile(hist_merge(first_response_hist), 0.5) AS value,
    sum(first_responses) AS count,
    sum(first_response_micros) / 1000000.0 / nullif(sum(first_responses), 0) AS average,
    hist_quantile(hist_merge(first_response_hist), 0.5) AS p50,
    hist_quantile(hist_merge(first_response_hist), 0.9) AS p90,
    hist_quantile(hist_merge(first_response_hist), 0.95) AS p95,
    hist_quantile(hist_merge(first_response_hist), 0.99) AS p99,
    hist_merge(first_response_hist) AS histogram
FROM cells
GROUP BY bucket, dimension, key
