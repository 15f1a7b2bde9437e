-- kpi: sla_applied
-- title: Promises made
-- unit: times
-- kind: count
-- better: neutral
-- dimensions: channel, agent, label
-- live: yes
-- definition: First responses, next responses and resolutions that a policy of service levels promised, by when the promise began. An agent's number counts those in conversations that were the agent's then. Each is kept, broken, dropped or still runs.
SELECT bucket, dimension, key, sum(sla_first_response_applied + sla_next_response_applied + sla_resolution_applied) AS value
FROM cells
GROUP BY bucket, dimension, key
