# A member in a container: docker build -t pyetcd . && docker run -p 2379:2379 -v etcd:/var/lib/etcd pyetcd
# The server runs as the user etcd. Settings are ETCD_* variables; deploy/compose.yaml starts three.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY golang golang
COPY kvstore kvstore
COPY raft raft
COPY api api
COPY server server
COPY pyetcdctl pyetcdctl
COPY flannel flannel
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.12-slim
COPY --from=build /dist /dist
RUN pip install --no-cache-dir /dist/*.whl && rm -r /dist
RUN useradd --system --uid 237 --home-dir /var/lib/etcd --create-home etcd && chmod 700 /var/lib/etcd
USER etcd
WORKDIR /var/lib/etcd
ENV ETCD_DATA_DIR=/var/lib/etcd/default.etcd
ENV ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379
ENV ETCD_ADVERTISE_CLIENT_URLS=http://127.0.0.1:2379
VOLUME /var/lib/etcd
EXPOSE 2379 2380
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "import sys, urllib.request as r; sys.exit(b'true' not in r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:2379/health', timeout=4).read())"]
ENTRYPOINT ["pyetcd"]
