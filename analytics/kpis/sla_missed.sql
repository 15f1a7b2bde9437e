-- kpi: sla_missed
-- title: Promises broken
-- unit: times
-- kind: count
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: Promises of service levels that were broken: they became due. By when they were due, whether or not the answer or the resolution came later; attributed to the assignee of that moment.
SELECT bucket, dimension, key, sum(sla_first_response_missed + sla_next_response_missed + sla_resolution_missed) AS value
FROM cells
GROUP BY bucket, dimension, key
