# gpuvgm on the CPU. From the root of the repository:  docker build -f docker/cpu.Dockerfile -t gpuvgm:cpu .
#
# For builds that can be repeated, pin the base by its digest:
#   --build-arg BASE_IMAGE=python:3.13-slim-trixie@sha256:DIGEST
# Any base with apt-get and Python 3.11 to 3.14 with its venv module will do. One whose python3 is Debian's lacks
# Python's headers, which the build needs:  --build-arg BUILD_PACKAGES="g++ python3-dev"
# An index or certificates of your own:  --secret id=pip,src=pip.conf
ARG BASE_IMAGE=python:3.13-slim-trixie

# hadolint ignore=DL3006  # the tag is in the argument
FROM ${BASE_IMAGE} AS build
ARG BUILD_PACKAGES="g++"
# Versions of packages are those of the base's release.
# hadolint ignore=DL3008,SC2086
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ${BUILD_PACKAGES} \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY CMakeLists.txt LICENSE README.md pyproject.toml ./
COPY gpuvgm gpuvgm
ENV GPUVGM_REQUIRE_NATIVE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /build \
    && /build/bin/pip wheel --no-deps --wheel-dir /wheels .
ARG EXTRAS=dask,s3,serve
# Bokeh draws Dask's dashboard.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/gpuvgm \
    && /opt/gpuvgm/bin/pip install "$(echo /wheels/gpuvgm-*.whl)[${EXTRAS}]" \
    && /opt/gpuvgm/bin/pip uninstall --yes pip

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="gpuvgm" \
      org.opencontainers.image.description="Mode-specific normalisation of table columns, on the CPU" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# The uid is fixed so that volumes can be given to it; any other uid works too, as the folders are open to all.
RUN groupadd --gid 10001 gpuvgm \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /scratch --shell /usr/sbin/nologin gpuvgm \
    && install --directory --mode 1777 /scratch /tables
COPY --from=build /opt/gpuvgm /opt/gpuvgm
ENV PATH=/opt/gpuvgm/bin:${PATH} TMPDIR=/scratch HOME=/scratch PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /scratch
WORKDIR /scratch
USER 10001:10001
HEALTHCHECK --interval=5m --timeout=60s --start-period=30s --retries=3 CMD ["gpuvgm", "doctor", "--quiet"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["gpuvgm"]
CMD ["--help"]
