-- kpi: sla_first_response_hit_rate
-- title: First responses in time
-- unit: ratio
-- kind: ratio
-- better: higher
-- dimensions: channel, agent, label
-- live: yes
-- definition: Of the promised first responses that were kept or broken, the part that was kept. What still runs or was dropped counts as neither.
SELECT bucket, dimension, key,
    CAST(sum(sla_first_response_met) AS DOUBLE) / nullif(sum(sla_first_response_met + sla_first_response_missed), 0) AS value,
    sum(sla_first_response_met) AS part,
    sum(sla_first_response_met + sla_first_response_missed) AS count
FROM cells
GROUP BY bucket, dimension, key
