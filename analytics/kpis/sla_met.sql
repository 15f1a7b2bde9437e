-- kpi: sla_met
-- title: Promises kept
-- unit: times
-- kind: count
-- better: higher
-- dimensions: channel, agent, label
-- live: yes
-- definition: Promises of service levels that were kept: the answer or the resolution came before it was due. By when it came; credited to who answered, or for a resolution to the assignee or else to who resolved it.
SELECT bucket, dimension, key, sum(sla_first_response_met + sla_next_response_met + sla_resolution_met) AS value
FROM cells
GROUP BY bucket, dimension, key
