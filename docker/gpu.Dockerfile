# gpuvgm on NVIDIA GPUs, with CUDA 13. From the root of the repository:
#   docker build -f docker/gpu.Dockerfile -t gpuvgm:gpu .
#   docker run --rm --gpus all gpuvgm:gpu doctor
#
# The wheels bring CUDA's libraries; of the machine it takes the driver and the NVIDIA Container Toolkit. For CUDA 12:
#   --build-arg CUDA=12 --build-arg BASE_IMAGE=nvidia/cuda:12.9.1-base-ubuntu24.04
# Versions of packages are those of constraints-cu12.txt and constraints-cu13.txt, which `make constraints` writes. For builds that can be repeated, pin the base by its digest: ...-ubuntu24.04@sha256:DIGEST
# An index or certificates of your own:  --secret id=pip,src=pip.conf
ARG BASE_IMAGE=nvidia/cuda:13.0.2-base-ubuntu24.04

# hadolint ignore=DL3006  # the tag is in the argument
FROM ${BASE_IMAGE} AS python
# Versions of packages are those of the base's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY CMakeLists.txt LICENSE README.md pyproject.toml ./
COPY gpuvgm gpuvgm
ENV GPUVGM_REQUIRE_NATIVE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /build \
    && /build/bin/pip wheel --no-deps --wheel-dir /wheels .
ARG CUDA=13
ARG EXTRAS=dask,s3,serve
COPY docker/constraints-cu12.txt docker/constraints-cu13.txt ./
# Bokeh draws Dask's dashboard.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/gpuvgm \
    && /opt/gpuvgm/bin/pip install --constraint "constraints-cu${CUDA}.txt" \
        "$(echo /wheels/gpuvgm-*.whl)[cu${CUDA},${EXTRAS}]" \
    && /opt/gpuvgm/bin/pip uninstall --yes pip

FROM python
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="gpuvgm" \
      org.opencontainers.image.description="Mode-specific normalisation of table columns, on NVIDIA GPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# The uid is fixed so that volumes can be given to it; any other uid works too, as the folders are open to all.
RUN groupadd --gid 10001 gpuvgm \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /scratch --shell /usr/sbin/nologin gpuvgm \
    && install --directory --mode 1777 /scratch /tables
COPY --from=build /opt/gpuvgm /opt/gpuvgm
ENV PATH=/opt/gpuvgm/bin:${PATH} TMPDIR=/scratch HOME=/scratch PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility CUDF_SPILL=on
VOLUME /scratch
WORKDIR /scratch
USER 10001:10001
HEALTHCHECK --interval=5m --timeout=60s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from gpuvgm.engines import get_engine; get_engine('cuda')"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["gpuvgm"]
CMD ["--help"]
