# Recipes that call the scripts. `just` lists them; arguments are passed on.

_default:
    @just --justfile {{justfile()}} --list

# A whole launch on this machine
demo *args:
    scripts/demo {{args}}

# Every check, or those that are named
test *args:
    scripts/test {{args}}

# Tests of one crate, by a word of their path: just one gateway structure
one crate word:
    cargo test -p {{crate}} {{word}}

# Formatting and lints
lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Commands, links and bounds of all pages; the table of options is written anew
docs:
    UPDATE_DOCS=1 cargo test -p gateway --lib configuration_page
    scripts/check-docs

# Debian packages, and the root of a container
package *args:
    scripts/package {{args}}

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
