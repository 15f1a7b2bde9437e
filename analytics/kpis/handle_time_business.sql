-- kpi: handle_time_business
-- title: Handle time in business time
-- unit: seconds
-- kind: duration
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: As handle_time, but only the time within business hours, by the hours that were set when it ended. What ended while none were set is left out, and never counts as zero. Average exact, percentiles within 1 %.
SELECT bucket, dimension, key,
    hist_quantile(hist_merge(business_handle_time_hist), 0.5) AS value,
    sum(business_handlings) AS count,
    sum(business_handle_time_micros) / 1000000.0 / nullif(sum(business_handlings), 0) AS average,
    hist_quantile(hist_merge(business_handle_time_hist), 0.5) AS p50,
    hist_quantile(hist_merge(business_handle_time_hist), 0.9) AS p90,
    hist_quantile(hist_merge(business_handle_time_hist), 0.95) AS p95,
    hist_quantile(hist_merge(business_handle_time_hist), 0.99) AS p99,
    hist_merge(business_handle_time_hist) AS histogram
FROM cells
GROUP BY bucket, dimension, key
