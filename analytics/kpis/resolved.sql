-- kpi: resolved
-- title: Resolved
-- unit: times
-- kind: count
-- better: higher
-- dimensions: channel, agent, label
-- live: yes
-- definition: How often a conversation was resolved, counted again if it was reopened and resolved again. Credited to its assignee, or to who resolved it if it had none.
SELECT bucket, dimension, key, sum(resolved) AS value
FROM cells
GROUP BY bucket, dimension, key
