-- Version 1: the keys of all organisations, and the relays that have a copy of them.
--
-- The tables keep the promises, whoever writes: see docs/fleet.md. A row is what a keyring says,
-- as it says it (document); the columns beside it are taken from there, for the constraints.

create schema zegel;

-- Which versions were applied, and when.
create table zegel.schema (
    version integer primary key,
    applied timestamptz not null default now()
);

-- One row: which keystore this is, and the number of its last change.
create table zegel.keystore (
    only_one boolean primary key default true check (only_one),
    id text not null check (id ~ '^[0-9a-f]{32}$'),
    revision bigint not null check (revision >= 0),
    -- Another one when the database went back and a relay brought what it lacks: numbers may then
    -- have been given twice, and every relay looks at everything.
    epoch uuid not null
);

-- One row for each organisation that has keys.
create table zegel.organisation (
    organisation text primary key check (organisation ~ '^[a-z0-9-]{1,40}$'),
    -- The number of the change that it was last part of.
    revision bigint not null check (revision > 0),
    -- Since when its mail is not signed at the operator's word; as a keyring writes it.
    suspended text,
    -- What lies beside its keyring, such as who leaves: files by name.
    beside jsonb not null default '{}'
);
create index organisation_revision on zegel.organisation (revision);

create table zegel.key (
    organisation text not null references zegel.organisation,
    -- Its position in the keyring, from 0.
    place integer not null,
    -- An entry of a keyring without its publications.
    document jsonb not null,
    -- The private key, sealed: without the sealing key it says nothing.
    sealed bytea check (
        octet_length(sealed) <= 65536
        and substring(sealed from 1 for 19) = convert_to('zegel-sealed-key 1 ', 'UTF8')
    ),
    selector text not null generated always as (document ->> 'selector') stored,
    algorithm text not null generated always as (document ->> 'algorithm') stored,
    fingerprint text not null generated always as (document ->> 'fingerprint') stored,
    -- A selector is never used again in its organisation, and a key is there once.
    primary key (organisation, selector),
    unique (fingerprint),
    unique (organisation, selector, algorithm)
);

create table zegel.publication (
    organisation text not null,
    selector text not null,
    algorithm text not null,
    domain text not null,
    -- What a keyring says of the key in this domain.
    document jsonb not null,
    state text not null generated always as (document ->> 'state') stored check (
        state in ('generated', 'published', 'active', 'draining', 'withdrawn', 'revoked')
    ),
    primary key (organisation, selector, domain),
    foreign key (organisation, selector, algorithm)
        references zegel.key (organisation, selector, algorithm),
    -- There is one record of this name in the DNS, whoever's the domain is.
    unique (domain, selector)
);

-- One key signs for a domain with an algorithm.
create unique index publication_active on zegel.publication (domain, algorithm)
    where state = 'active';

-- Who has a copy, and of which change.
create table zegel.relay (
    relay text primary key,
    revision bigint not null,
    version text not null,
    leads boolean not null,
    seen timestamptz not null default now()
);

-- What the drawing in src/keys/publication.rs lets come after what, in any number of steps: a key
-- that signed is never again new, and one that was given up for good never signs again.
create function zegel.may_follow(before text, after text) returns boolean
    language sql immutable
    return case
        when before in ('generated', 'published') then true
        when before in ('active', 'draining') then after not in ('generated', 'published')
        else after in ('withdrawn', 'revoked')
    end;

create function zegel.keep_publication() returns trigger
    language plpgsql as $$
begin
    if (new.organisation, new.selector, new.domain, new.algorithm)
        is distinct from (old.organisation, old.selector, old.domain, old.algorithm)
    then
        raise exception 'zegel: a publication is of one key in one domain for ever';
    end if;
    if old.document ? 'withdrawal' and old.document ->> 'state' = 'draining'
        and new.document ->> 'state' = 'active'
    then
        raise exception 'zegel: % of % in % can''t sign again: its record is given up',
            old.selector, old.organisation, old.domain;
    end if;
    if not zegel.may_follow(old.document ->> 'state', new.document ->> 'state') then
        raise exception 'zegel: % of % in % can''t become % again: it is %', old.selector,
            old.organisation, old.domain, new.document ->> 'state', old.document ->> 'state';
    end if;
    return new;
end $$;
create trigger keep_publication before update on zegel.publication
    for each row execute function zegel.keep_publication();

create function zegel.keep_key() returns trigger
    language plpgsql as $$
begin
    if new.organisation is distinct from old.organisation
        or (new.document ->> 'selector', new.document ->> 'algorithm',
            new.document ->> 'fingerprint', new.document ->> 'created')
        is distinct from (old.document ->> 'selector', old.document ->> 'algorithm',
            old.document ->> 'fingerprint', old.document ->> 'created')
        or (old.document ? 'public_key'
            and new.document ->> 'public_key' is distinct from old.document ->> 'public_key')
    then
        raise exception 'zegel: the key % of % can''t become another one',
            old.document ->> 'selector', old.organisation;
    end if;
    if old.sealed is not null and new.sealed is null then
        raise exception 'zegel: the key % of % is never removed', old.document ->> 'selector',
            old.organisation;
    end if;
    return new;
end $$;
create trigger keep_key before update on zegel.key
    for each row execute function zegel.keep_key();

create function zegel.keep_number() returns trigger
    language plpgsql as $$
begin
    if new.id is distinct from old.id or new.revision < old.revision then
        raise exception 'zegel: a keystore keeps its id, and its number grows';
    end if;
    return new;
end $$;
create trigger keep_number before update on zegel.keystore
    for each row execute function zegel.keep_number();

create function zegel.refuse_removal() returns trigger
    language plpgsql as $$
begin
    raise exception 'zegel: nothing is ever removed from %', tg_table_name;
end $$;
create trigger refuse_removal before delete or truncate on zegel.keystore
    for each statement execute function zegel.refuse_removal();
create trigger refuse_removal before delete or truncate on zegel.organisation
    for each statement execute function zegel.refuse_removal();
create trigger refuse_removal before delete or truncate on zegel.key
    for each statement execute function zegel.refuse_removal();
create trigger refuse_removal before delete or truncate on zegel.publication
    for each statement execute function zegel.refuse_removal();

insert into zegel.schema (version) values (1);
