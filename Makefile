# make demo: set everything up on a fresh machine and run the main job end to end on the embedded stack
# make test: set everything up on a fresh machine and run all the tests
# Both work from any directory (make -C …). Nothing is done twice; each step says what it does and how long it took.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv/.made
JAR := connectors/target/usher-connectors.jar
GEO := build/geo/country.mmdb
GEO_PACKAGE := @ip-location-db/geo-whois-asn-country-mmdb@2.3.2026061719
MODEL := build/model/.made
CLIENTS := tests/service/node/node_modules/.made
JAVA_SOURCES := connectors/pom.xml $(shell find connectors/src -type f 2>/dev/null)
MODEL_SOURCES := $(shell find usher/model/_*.py usher/model/dataset.py usher/simulator usher/features.py conf/model.yaml -type f -not -name '*.pyc' 2>/dev/null)

# $(call step,what is done,command): say it, do it, say how long it took
define step
@echo "==> $(1)"; began=$$SECONDS; $(2); echo "    done in $$((SECONDS - began)) s"
endef
# $(call need,program,what to install)
define need
@command -v $(1) >/dev/null || { echo "\`$(1)\` is missing: install $(2)." >&2; exit 2; }
endef

.PHONY: demo test lint clients audit dist image servers connectors geo model venv clean

demo: venv connectors geo model
	$(call step,run the main job end to end on the embedded stack,.venv/bin/usher demo)

test: venv connectors geo model lint clients
	$(call step,test the connectors,mvn -q -B -f connectors/pom.xml test)
	$(call step,test everything else,.venv/bin/pytest)

lint: venv
	$(call step,check style and types,.venv/bin/ruff check . && .venv/bin/mypy)

# one image for docker/compose.yaml; the old builder, because not every engine has the new one
image: venv connectors geo model servers
	$(call need,docker,Docker)
	$(call step,build the image,DOCKER_BUILDKIT=0 docker build -q --network host -t $${IMAGE:-usher} -f docker/Dockerfile .)

servers: venv
	$(call step,fetch the servers' jars,.venv/bin/python -c \
	  'from usher.stack import _jars; _jars.kafka_jars(); _jars.elasticsearch_home()')

# what is shipped to a Flink cluster, see docs/cluster.md
dist: venv connectors geo model
	$(call step,pack what is shipped to a cluster into build/dist,.venv/bin/python -m usher.dist build/dist)

venv: $(VENV)
connectors: $(JAR)
geo: $(GEO)
model: $(MODEL)
clients: $(CLIENTS)

# all requirements in one resolve: in two steps, protobuf and cloudpickle end up at versions that do not fit
$(VENV): requirements.lock pyproject.toml
	$(call need,python3.11,Python 3.11 (Debian and Ubuntu: python3.11 and python3.11-venv))
	$(call step,make .venv from requirements.lock, \
	  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then \
	    uv venv -q --allow-existing --python python3.11 .venv; \
	    uv pip install -q --python .venv/bin/python -r requirements.lock; \
	    uv pip install -q --python .venv/bin/python --no-deps -e .; \
	  else \
	    python3.11 -m venv .venv; \
	    .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.lock; \
	    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .; \
	  fi)
	@touch $@

$(JAR): $(JAVA_SOURCES)
	$(call need,java,OpenJDK 17 (Debian and Ubuntu: openjdk-17-jdk-headless))
	$(call need,mvn,Maven 3.8 or newer (Debian and Ubuntu: maven))
	$(call step,build the connectors,mvn -q -B -f connectors/pom.xml package -DskipTests)
	@touch $@

$(GEO):
	$(call need,npm,npm; it fetches the table of countries (Debian and Ubuntu: npm))
	$(call step,fetch the table of countries, \
	  mkdir -p build/geo && cd build/geo && npm pack --silent $(GEO_PACKAGE) >/dev/null && \
	  tar -xzf *.tgz --strip-components=1 && rm -f *.tgz *-ipv4.mmdb *-ipv6.mmdb && \
	  mv geo-whois-asn-country.mmdb country.mmdb)
	@touch $@

$(MODEL): $(VENV) $(MODEL_SOURCES)
	$(call step,train the model,.venv/bin/usher train)
	@mkdir -p $(@D) && touch $@

# the SDKs that tests/service uses as they are; and the browser that runs them
$(CLIENTS): tests/service/node/package.json
	$(call need,npm,npm; it fetches SDKs for the tests (Debian and Ubuntu: npm))
	$(call need,chromium,Chromium; the tests run SDKs in it (Debian and Ubuntu: chromium))
	$(call step,fetch the SDKs for the tests, \
	  cd $(<D) && npm install --no-package-lock --no-audit --no-fund --silent)
	@touch $@

# asks the advisory database of PyPI, so it is no part of `test`, which needs no network once all is fetched
audit: venv
	.venv/bin/pip-audit --strict --no-deps --disable-pip -r requirements.lock

clean:
	rm -rf build connectors/target
