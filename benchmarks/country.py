"""A PostgreSQL database of a country's size, filled by SQL: the tables whose listings are measured, without a server.

Values come in the shares that a network has, and in its order: an operator's stations one behind the other, makes that
some operators alone have. The same sizes give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import asyncpg

from csms.storage.tables import to_us

# Of a million stations; as config/network.toml has them.
_SHARES = (237, 216, 205, 71, 70, 69, 32, 32, 31, 28, 14, 9, 6)
PER_SESSION = 25  # Readings.
BLOCK = 250_000  # Readings of the sessions that run side by side; they come in whole ones.
_DAY = 86_400_000_000  # µs
DAYS = 10  # Over which the readings were received.

_OPERATORS = "INSERT INTO operators (id, name) SELECT n, 'operator-' || n FROM generate_series(1, $1) n"

_PLACES = """
INSERT INTO places SELECT 'C' || n, 'city', 'City ' || n, 20 + n % 25, 75 + n % 55 FROM generate_series(0, 364) n"""

_LOCATIONS = """
INSERT INTO locations (id, operator_id, code, name, address, city, latitude, longitude, kind, service_area, place,
    created_at, changed_at)
SELECT n, o, 'L' || lpad(n::text, 6, '0'), 'City ' || n * 7919 % 365 || ' L' || lpad(n::text, 6, '0'),
    n % 200 || ' Main Street', 'City ' || n * 7919 % 365, 20 + (n * 7919 % 25000) / 1000.0,
    75 + (n * 104729 % 55000) / 1000.0, CASE WHEN n % 10 = 0 THEN 'highway' ELSE 'city' END,
    CASE WHEN n % 10 = 0 THEN 'A' || n / 20 END, 'C' || n * 7919 % 365, $2 + n, $2 + n
FROM generate_series(1, $1::bigint) n,
    LATERAL (SELECT width_bucket(n * 1020.0 / ($1 + 1), $3::float8[]) + 1 AS o) AS chosen"""

_STATIONS = """
INSERT INTO stations (id, operator_id, identity, version, vendor, model, serial, firmware, admission, registration,
    connected_at, last_seen_at, booted_at, created_at, location_id, current, max_power_w, outlets, password_hash)
SELECT n, o, 'OP' || lpad(o::text, 2, '0') || '-' || lpad(n::text, 7, '0'),
    CASE WHEN n * 7919 % 10 = 0 THEN '2.0.1' ELSE '1.6' END, 'Vendor ' || make,
    'Model ' || make || '-' || n * 31 % 7, 'SN' || md5(n::text)::varchar(10),
    CASE WHEN n % 25000 = 7 THEN '0.9.1-beta' ELSE make || '.' || n * 17 % 12 || '.0' END,
    CASE n * 7919 % 5000 WHEN 1 THEN 'pending' WHEN 2 THEN 'rejected' ELSE 'accepted' END, 'accepted',
    CASE WHEN n * 104729 % 40 <> 0 THEN $2 + n END, $2 + n, $2 + n, $2 + n / 2000,
    1 + (n - 1) * $4 / $1, CASE WHEN n % 5 = 0 THEN 'AC' ELSE 'DC' END, 60000, 1 + n % 5 % 2,
    decode(md5(n::text) || md5(n::text), 'hex')
FROM generate_series(1, $1::bigint) n,
    LATERAL (SELECT width_bucket(n * 1020.0 / ($1 + 1), $3::float8[]) + 1 AS o) AS chosen,
    LATERAL (SELECT CASE WHEN o > 10 THEN o ELSE 20 + floor(sqrt(n * 7919 % 900))::bigint END AS make) AS made"""

_CONNECTORS = """
INSERT INTO connectors (station_id, evse_id, connector_id, status, reported_at)
SELECT s.id, e, 1, CASE WHEN r < 8000 THEN 'available' WHEN r < 9500 THEN 'occupied' WHEN r < 9850 THEN 'unavailable'
    WHEN r < 9999 THEN 'faulted' ELSE 'reserved' END, s.created_at
FROM stations s, generate_series(1, s.outlets) e, LATERAL (SELECT (s.id * 7919 + e * 13) % 10000 AS r) AS drawn"""

_TOKENS = """
INSERT INTO tokens (operator_id, folded, value, type, status, "group", created_at)
SELECT 1 + n % 13, 'tag' || lpad(n::text, 9, '0'), 'TAG' || lpad(n::text, 9, '0'),
    CASE WHEN n % 2000 = 5 THEN 'eMAID' ELSE 'ISO14443' END, CASE WHEN n % 1000 = 3 THEN 'blocked' ELSE 'accepted' END,
    CASE WHEN n % 5 = 0 THEN 'Fleet ' || n / 5 % 5000 END, $2::bigint
FROM generate_series(1, $1::bigint) n"""

_SESSIONS = """
INSERT INTO sessions (id, operator_id, station_id, transaction_id, start_key, version, evse_id, connector_id, token,
    token_type, "authorization", started_at, received_at, ended_at, stop_reason, phase, meter_start_wh, meter_stop_wh,
    energy_wh, flags)
SELECT n, s.operator_id, s.id, n::text, n || '/1', '1.6', 1, 1, 'TAG' || lpad((n * 7919 % $3::bigint)::text, 9, '0'), 'ISO14443',
    'accepted', at, at, CASE WHEN n <= $2::bigint * 0.97 THEN at + 1800000000 END, 'Local',
    CASE WHEN n <= $2::bigint * 0.97 THEN 'ended' ELSE 'charging' END, 0, 23000, 23000,
    CASE WHEN n % 5000 = 11 THEN '["no_clock"]' WHEN n % 300 = 17 THEN '["incomplete"]' ELSE '[]' END
FROM generate_series($1::bigint, least($1::bigint + 499999, $2::bigint)) n,
    LATERAL (SELECT $4::bigint + n * $5::bigint / $2::bigint AS at) AS began
JOIN LATERAL (SELECT id, operator_id FROM stations WHERE id = 1 + n * 104729 % $6::bigint) AS s ON true"""

# The readings of sessions that run side by side are stored side by side.
_SAMPLES = """
INSERT INTO samples (station_id, session_id, evse_id, connector_id, sampled_at, received_at, register_wh, power_w, readings)
SELECT 1 + session * 104729 % $5::bigint, session, 1, 1, at, at, 920 * k, 55000,
    '[["Energy.Active.Import.Register",' || 920 * k || ']]'
FROM generate_series($1::bigint, $2::bigint - 1) n,
    LATERAL (SELECT 1 + n / 250000 * 10000 + n % 10000 AS session, n % 250000 / 10000 AS k) AS placed,
    LATERAL (SELECT $3::bigint + (n - $1::bigint) * $4::bigint AS at) AS seen"""

_COMMANDS = """
INSERT INTO commands (id, operator_id, station_id, action, request, status, created_at, settled_at)
SELECT n, s.operator_id, s.id, CASE WHEN n % 20000 = 3 THEN 'ClearCache' WHEN n % 5 = 0 THEN 'Reset' ELSE
    'RemoteStartTransaction' END, '{}', CASE WHEN n > $1::bigint - 20 THEN 'pending' WHEN n % 50000 = 7 THEN 'unknown'
    WHEN n % 200 = 9 THEN 'timeout' WHEN n % 10 = 4 THEN 'offline' ELSE 'answered' END, $2::bigint + n * 1000, $2::bigint + n * 1000
FROM generate_series(1, $1::bigint) n
JOIN LATERAL (SELECT id, operator_id FROM stations WHERE id = 1 + n * 104729 % $3::bigint) AS s ON true"""

_OTHERS = (
    """INSERT INTO reservations (station_id, reservation_id, status, token, evse_id, expires_at, created_at, changed_at)
    SELECT 1 + n * 104729 % $1::bigint, n, CASE WHEN n % 100 = 3 THEN 'cancelled' WHEN n % 3 = 0 THEN 'used' ELSE
        'accepted' END, 'TAG' || lpad(n::text, 9, '0'), 1, $2::bigint + (n - $1::bigint / 5) * 1000000, $2::bigint, $2::bigint
    FROM generate_series(1, $1::bigint / 5) n""",
    """INSERT INTO charging_profiles (station_id, profile_id, evse_id, purpose, stack_level, profile, installed_at)
    SELECT n * 4 + 1, 1, 0, CASE WHEN n % 5000 = 1 THEN 'ChargePointMaxProfile' ELSE 'TxDefaultProfile' END, 0, '{}', $2::bigint
    FROM generate_series(1, $1::bigint / 5) n""",
    """INSERT INTO local_lists (station_id, version, entries, sent_at)
    SELECT n * 10 + 1, 1, '{}', $2::bigint FROM generate_series(1, $1::bigint / 11) n""",
    """INSERT INTO reported (station_id, kind, key, data, reported_at)
    SELECT n, kind, 'key', '{}', $2::bigint FROM generate_series(1, $1::bigint) n, unnest(ARRAY['variable', 'firmware']) kind""",
    """INSERT INTO station_log (station_id, at, received_at, kind, severity, code, data)
    SELECT 1 + n * 104729 % $1::bigint, $2::bigint + n, $2::bigint + n, CASE WHEN n % 9 = 0 THEN 'security' ELSE 'monitor' END, 5, 'X', '{}'
    FROM generate_series(1, $1::bigint * 2) n""",
    """INSERT INTO audit (at, actor, actor_kind, operator, action, object, outcome, detail)
    SELECT $2::bigint + n, CASE WHEN n % 10000 = 3 THEN 'eve' ELSE 'ada' END, 'user',
        'operator-' || 1 + n % 13, CASE WHEN n % 20000 = 5 THEN 'DELETE /api/v1/stations/{id}' ELSE
        'PUT /api/v1/stations/{id}' END, '/api/v1/stations/' || n % 1000,
        CASE WHEN n % 4000 = 7 THEN 'failed' WHEN n % 20 = 7 THEN 'refused' ELSE 'done' END, '{}'
    FROM generate_series(1, $1::bigint / 2) n""",
    """INSERT INTO outbox (at, operator, station, events)
    SELECT $2::bigint + n, 'operator-' || 1 + n % 13, 'OP' || n, '[]' FROM generate_series(1, $1::bigint) n""",
    """INSERT INTO bulk_commands (id, operator_id, asked, stations, status, created_by, created_at)
    SELECT 1, 1, '{"action":"Reset","verb":null,"payload":{},"concurrency":1,"rate":1,"until":"2026-01-01T00:00:00Z"}',
        $1::bigint, 'running', 'ada', $2::bigint""",
    """INSERT INTO bulk_items (bulk_id, station_id, command_id, problem)
    SELECT 1, n, CASE WHEN n % 20 <> 0 THEN n END, CASE WHEN n % 5000 = 0 THEN 'busy' END
    FROM generate_series(1, $1::bigint) n""",
)


async def fill(url: str, stations: int, samples: int, now: datetime, told: Callable[[str], None]) -> None:
    """Fill a migrated, empty database, and let PostgreSQL look at what is in it; `told` hears how far it is."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await _network(connection, stations, to_us(now), told)
        first = (now - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
        await _put_sessions(connection, stations, samples // PER_SESSION, first, told)
        await _put_readings(connection, stations, samples, first, told)
        told("vacuum, analyze")
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _network(connection: asyncpg.Connection, stations: int, now: int, told: Callable[[str], None]) -> None:
    bounds = [sum(_SHARES[:place]) for place in range(1, len(_SHARES))]
    places = stations // 10
    told(f"{stations:,} stations, and what belongs to them")
    await connection.execute(_OPERATORS, len(_SHARES))
    await connection.execute(_PLACES)
    await connection.execute(_LOCATIONS, places, now, bounds)
    await connection.execute(_STATIONS, stations, now, bounds, places)
    await connection.execute("ANALYZE stations")
    await connection.execute(_CONNECTORS)
    await connection.execute(_TOKENS, stations, now)
    await connection.execute(_COMMANDS, stations * 2, now, stations)
    for filling in _OTHERS:
        given = (stations, now) if "$2" in filling else (stations,)
        await connection.execute(filling, *given)


async def _put_sessions(
    connection: asyncpg.Connection, stations: int, number: int, first: datetime, told: Callable[[str], None]
) -> None:
    for begin in range(1, number + 1, 500_000):
        told(f"sessions {begin:,} of {number:,}")
        await connection.execute(_SESSIONS, begin, number, stations, to_us(first), DAYS * _DAY, stations)


async def _put_readings(
    connection: asyncpg.Connection, stations: int, number: int, first: datetime, told: Callable[[str], None]
) -> None:
    """Each day's in a partition, whose indexes are made when it is full."""
    await connection.execute("DROP TABLE IF EXISTS samples_before")  # Of an empty database: it would take them all.
    for day in range(DAYS):
        name = f"samples_{first + timedelta(days=day):%Y%m%d}"
        low = to_us(first) + day * _DAY
        begin, end = number * day // DAYS, number * (day + 1) // DAYS
        told(f"readings {begin:,} of {number:,}")
        await connection.execute(f"CREATE TABLE {name} (LIKE samples INCLUDING DEFAULTS)")
        filling = _SAMPLES.replace("INTO samples", f"INTO {name}")
        await connection.execute(filling, begin, end, low, _DAY // (end - begin), stations)
        bounds = f"FOR VALUES FROM ({low}) TO ({low + _DAY})"
        await connection.execute(f"ALTER TABLE samples ATTACH PARTITION {name} {bounds}")
