/** Database of the first version, with an account in it. Never changes. */
export const firstSchema = `
  create table upgate_schema (version integer not null);
  create table upgate_accounts (seq integer primary key autoincrement, id text not null unique,
    version integer not null, email text not null unique, password_hash text, scopes text not null,
    roles text not null, created_at bigint not null, disabled_at bigint, session_generation integer not null);
  create table upgate_sessions (seq integer primary key autoincrement, id text not null unique, digest text not null,
    account_id text not null references upgate_accounts (id), generation integer not null, created_at bigint not null,
    last_seen_at bigint not null, expires_at bigint not null, label text, client_address text);
  create index upgate_sessions_account on upgate_sessions (account_id, seq);
  create index upgate_sessions_end on upgate_sessions (expires_at);
  create index upgate_sessions_seen on upgate_sessions (last_seen_at);
  create table upgate_keys (seq integer primary key autoincrement, id text not null unique, version integer not null,
    digest text not null, name text not null, scopes text not null, roles text not null,
    account_id text references upgate_accounts (id), created_by text, created_at bigint not null, expires_at bigint,
    last_used_at bigint, revoked_at bigint);
  create table upgate_devices (seq integer primary key autoincrement, id text not null unique, version integer not null,
    digest text not null, name text not null, scopes text not null, roles text not null,
    account_id text references upgate_accounts (id), created_by text, created_at bigint not null, expires_at bigint,
    last_used_at bigint, revoked_at bigint);
  create table upgate_revocations (sequence integer primary key autoincrement, at bigint not null,
    selector text not null, reason text not null);
  insert into upgate_schema values (1);
  insert into upgate_accounts (id, version, email, scopes, roles, created_at, session_generation)
    values ('a', 1, 'a@example.com', '["read"]', '[]', 1, 1);
`
