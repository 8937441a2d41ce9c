# SPDX-License-Identifier: Apache-2.0
#
# docker buildx build --platform linux/amd64,linux/arm64 --target coldtrace --build-arg VERSION=$(git describe --tags --always --dirty) .
# docker buildx build --platform linux/amd64,linux/arm64 --target wrapper   --build-arg VERSION=$(git describe --tags --always --dirty) .
#
# The build sees no git: VERSION is all that says which commit it is of. test/images makes the same images without Docker.

# Go cross-compiles: the builder runs on the machine's own architecture whatever the target's is.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-buildvcs=false
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    export GOOS=$TARGETOS GOARCH=$TARGETARCH && \
    go build -trimpath -tags grpcnotrace -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/...
RUN printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >/out/passwd && \
    printf 'root:x:0:\nnonroot:x:65532:\n' >/out/group

# The wrapper: mounted into pods as an image volume, or copied by an init container.
FROM scratch AS wrapper
ARG VERSION=dev
LABEL org.opencontainers.image.title="coldtrace-wrapper" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/coldtrace/coldtrace"
COPY --from=build /out/coldtrace-wrapper /coldtrace-wrapper
COPY --from=build /out/coldtrace-observer /coldtrace-observer
USER 65532:65532
ENTRYPOINT ["/coldtrace-wrapper"]

# The webhook, the watcher and the commands for people; last, so that it is what no --target builds.
FROM scratch AS coldtrace
ARG VERSION=dev
LABEL org.opencontainers.image.title="coldtrace" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/coldtrace/coldtrace"
COPY --from=build /out/passwd /out/group /etc/
# For looking into registries.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/coldtrace /coldtrace
USER 65532:65532
ENTRYPOINT ["/coldtrace"]
