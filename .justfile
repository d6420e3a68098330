# Recipes that call the scripts. `just` lists them; arguments are passed on.

_default:
    @just --justfile {{justfile()}} --list

# A whole launch on this machine
demo *args:
    scripts/demo {{args}}

# Every check
test *args:
    scripts/test {{args}}

# Tests of one crate, by a word of their path: just one gateway structure
one crate word:
    cargo test -p {{crate}} {{word}}

# Formatting and lints
lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets --features gateway-fuzz/libfuzzer --locked -- -D warnings

# Commands, links and bounds of all pages; the table of options is written anew
docs:
    UPDATE_DOCS=1 cargo test -p gateway --lib configuration_page
    scripts/check-docs

# Every panel and alert
dashboards *args:
    scripts/check-dashboards {{args}}

# The live page in a browser
live *args:
    scripts/check-live {{args}}

# The gateway against its OpenAPI document
api *args:
    scripts/check-api {{args}}

# The OpenAPI documents in linters, and generated clients
openapi *args:
    scripts/check-openapi {{args}}

# Fuzz the parsers
fuzz *args:
    scripts/fuzz {{args}}

# Faults by a seed, under load
chaos *args:
    scripts/chaos {{args}}

# What a reservation costs
bench *args:
    scripts/bench {{args}}

# Three gateways and Redis on hosts of their own
cluster *args:
    scripts/cluster {{args}}
