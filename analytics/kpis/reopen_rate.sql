-- kpi: reopen_rate
-- title: Reopened of resolved
-- unit: ratio
-- kind: ratio
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: How often conversations were reopened in the period for each time that one was resolved in it; over 1 if more were reopened than resolved.
SELECT bucket, dimension, key,
    CAST(sum(reopened) AS DOUBLE) / nullif(sum(resolved), 0) AS value,
    sum(reopened) AS part,
    sum(resolved) AS count
FROM cells
GROUP BY bucket, dimension, key
