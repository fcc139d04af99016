# A static binary on an empty base. The tag of the builder is the toolchain of rust-toolchain.toml.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# glibc linked in: names are still resolved through /etc/hosts and DNS, so the base can be empty.
# An explicit target keeps the flag away from build scripts and macros.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin vpo --target "$target" \
 && install -D "target/$target/release/vpo" /out/vpo

FROM scratch
# For platforms whose certificate a public CA signed; private CAs come with the Platform.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/vpo /vpo
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/vpo"]
