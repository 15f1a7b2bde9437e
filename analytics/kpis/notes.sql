-- kpi: notes
-- title: Private notes
-- unit: messages
-- kind: count
-- better: neutral
-- dimensions: channel, agent, label
-- live: yes
-- definition: Private notes that were written in conversations. Credited to who wrote them.
SELECT bucket, dimension, key, sum(notes) AS value
FROM cells
GROUP BY bucket, dimension, key
