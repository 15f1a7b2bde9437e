-- kpi: first_response_p90
-- title: First response, 90th percentile
-- unit: seconds
-- kind: gauge
-- better: lower
-- dimensions: channel, agent
-- live: yes
-- definition: Nine in ten first responses of the last 24 hours (by when they were given) took at most this long, within 1 %: the 90th percentile of first_response as a number of the live board.
SELECT bucket, dimension, key, hist_quantile(hist_merge(first_response_hist), 0.9) AS value
FROM cells
GROUP BY bucket, dimension, key
