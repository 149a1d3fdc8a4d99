# Two commands for a newcomer; the rest is what they are made of.
.PHONY: run build test lint unit fuzz clients browser deploy tested deb bench

# The gateway on scripted providers: no key, no database, no internet.
run: build
	target/release/tollgate demo

build:
	cargo build --release --locked

# Installs what the tests need and runs all of them.
test: lint unit fuzz clients browser deploy

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	scripts/deny

unit:
	scripts/servers
	cargo test --locked

# Every parser under libFuzzer, for some seconds each.
fuzz:
	scripts/fuzz

# The official SDKs, Python and Node, against the real binary.
clients: tested
	scripts/clients

# Every page of the dashboard in Chromium, against the real binary.
browser: tested
	scripts/browser

# What is under deploy/ and systemd/, with the tools of those who run it; nginx in front.
deploy: tested
	scripts/deploy

# The executable that the tests use. `cargo build` would make it with fewer features of some crates, and compile
# them and all that is built on them once more.
tested:
	cargo test --locked --no-run --test it

# The package for Debian (cargo install cargo-deb --locked).
deb: build
	cargo deb --no-build --locked

# End to end: this gateway, nginx, an empty Pingora proxy (and LiteLLM if installed) in one run.
bench: build
	benches/load/run.py --quick
