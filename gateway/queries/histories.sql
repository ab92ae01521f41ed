-- name: operator_histories
-- Each history: the days that it has partitions for, what it takes with its indexes, and since when all of it is there.
SELECT p.relname AS name, count(*) FILTER (WHERE c.relname ~ '_[0-9]{8}$') AS days,
       min(right(c.relname, 8)) FILTER (WHERE c.relname ~ '_[0-9]{8}$') AS oldest,
       max(right(c.relname, 8)) FILTER (WHERE c.relname ~ '_[0-9]{8}$') AS newest,
       sum(pg_total_relation_size(c.oid))::bigint AS bytes,
       max(h.kept_from) AS kept_from
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_class p ON p.oid = i.inhparent
LEFT JOIN histories h ON h.name = CASE p.relname WHEN 'deliveries' THEN 'events' ELSE p.relname::text END
WHERE p.relname IN ('events', 'deliveries', 'delivery_attempts') AND p.relnamespace = 'public'::regnamespace
GROUP BY p.relname
ORDER BY p.relname;
