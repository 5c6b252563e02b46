# CPU: docker build --tag bginv .
# GPU: docker build --tag bginv:gpu --build-arg TENSORFLOW='tensorflow[and-cuda]' .
#
# docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" bginv run folder:photographs
# docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/data" bginv:gpu run folder:photographs
FROM python:3.12-slim AS wheel
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /dist

FROM python:3.12-slim
ARG TENSORFLOW=tensorflow
COPY requirements.lock /requirements.lock
COPY --from=wheel /dist /dist
RUN pip install --no-cache-dir --constraint /requirements.lock "$(ls /dist/*.whl)[photos,export]" "$TENSORFLOW" \
    && rm -r /dist
# masks and networks are kept here between runs where a volume is mounted, and matplotlib writes its list of fonts;
# whoever runs it by --user has no home
ENV BGINV_CACHE=/cache/bginv U2NET_HOME=/cache/u2net KERAS_HOME=/cache/keras MPLCONFIGDIR=/cache/matplotlib
RUN mkdir -p /cache /data && chmod 1777 /cache /data
WORKDIR /data
ENTRYPOINT ["bginv"]
CMD ["--help"]
