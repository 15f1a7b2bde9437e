-- kpi: reopened
-- title: Reopened
-- unit: times
-- kind: count
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: How often a resolved conversation was opened again, by the customer or by somebody. An agent's number counts those that were the agent's then.
SELECT bucket, dimension, key, sum(reopened) AS value
FROM cells
GROUP BY bucket, dimension, key
