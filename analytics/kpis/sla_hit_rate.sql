-- kpi: sla_hit_rate
-- title: Promises kept of those decided
-- unit: ratio
-- kind: ratio
-- better: higher
-- dimensions: channel, agent, label
-- live: yes
-- definition: Of the promises of service levels that were kept or broken, the part that was kept. What still runs or was dropped counts as neither.
SELECT bucket, dimension, key,
    CAST(sum(sla_first_response_met + sla_next_response_met + sla_resolution_met) AS DOUBLE) / nullif(sum(sla_first_response_met + sla_next_response_met + sla_resolution_met + sla_first_response_missed + sla_next_response_missed + sla_resolution_missed), 0) AS value,
    sum(sla_first_response_met + sla_next_response_met + sla_resolution_met) AS part,
    sum(sla_first_response_met + sla_next_response_met + sla_resolution_met + sla_first_response_missed + sla_next_response_missed + sla_resolution_missed) AS count
FROM cells
GROUP BY bucket, dimension, key
