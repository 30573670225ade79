-- The table that a sink of type "clickhouse" fills, for any ClickHouse since 2018.
-- Names and types are the sink's; engine and order may be others that keep, of the rows with one
-- (advertiser_id, ad_id, minute), the one with the highest version.
CREATE TABLE click_minutes
(
    minute DateTime('UTC'),
    advertiser_id String,
    ad_id String,
    clicks UInt64,
    automated_clicks UInt64,        -- those of them that machines made
    unique_users UInt64,            -- estimate of this minute alone: no sum of them is one
    mobile UInt64,
    desktop UInt64,
    tablet UInt64,
    other UInt64,
    country_codes Array(String),    -- with the next column: ARRAY JOIN
    country_clicks Array(UInt64),
    log_partition UInt32,
    version UInt64                  -- grows with each amendment of a row
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (advertiser_id, ad_id, minute)
