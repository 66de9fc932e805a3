# Souk. `make help` lists the targets; a service is one word in SERVICES.

SERVICES := session catalog cart order inventory payment shipping notification audit analytics

MAKEFLAGS += --no-print-directory

# BUILD is the folder for everything made; `make sanitize` uses build/sanitize.
BUILD ?= build
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
# Debian's own Python, not one that happens to be first in PATH: its packages are what we install.
PYTHON ?= /usr/bin/python3
# `make V=1` shows the commands themselves.
Q := $(if $(V),,@)

LIBRARIES := libpq hiredis libcjson libprotobuf-c libsodium libcurl
CPPFLAGS += -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 $(DEFINES) -Ilibcommon -I$(BUILD)/proto -I$(BUILD)/gen \
	$(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wmissing-prototypes \
	-Wstrict-prototypes -Wold-style-definition -Wformat=2 -Wwrite-strings -Wpointer-arith \
	-Wcast-qual -Wundef -Wswitch-enum -Wnull-dereference -Werror
CFLAGS ?= -O2 -g
CFLAGS_ALL := -std=c17 -MMD -MP -fno-common -fstack-protector-strong -fstack-clash-protection \
	-fPIE -pthread $(CFLAGS) $(SANITIZERS)
LDFLAGS_ALL := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(SANITIZERS) $(LDFLAGS)
LDLIBS := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -lnats -lcivetweb -lm

PROTOS := $(shell cd proto && find souk -name '*.proto' | sort)
PROTO_HEADERS := $(PROTOS:%.proto=$(BUILD)/proto/%.pb-c.h) $(BUILD)/proto/google/protobuf/descriptor.pb-c.h
PROTO_SOURCES := $(filter-out %/rules.pb-c.c,$(PROTOS:%.proto=$(BUILD)/proto/%.pb-c.c)) $(BUILD)/proto/souk_types.c
PROTO_OBJECTS := $(PROTO_SOURCES:.c=.o)

LIBCOMMON_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard libcommon/*.c)) $(BUILD)/gen/libcommon_files.o
LIBCOMMON := $(BUILD)/libsouk.a

SERVICE_BINARIES := $(SERVICES:%=$(BUILD)/bin/%)
SOUKCTL := $(BUILD)/bin/soukctl
TOPOLOGY := $(BUILD)/topology.json

UNIT_TEST_SOURCES := $(wildcard libcommon/test/unit_*.c services/*/test/unit_*.c deploy/soukctl/test/unit_*.c)
UNIT_TESTS := $(UNIT_TEST_SOURCES:%.c=$(BUILD)/test/%)

.PHONY: all help run stop status rolling logs test test-all unit contract rights system races chaos bench crash crash-build sanitize sanitize-all fuzz fuzz-all model lint format \
	check-headers clean prepare
.DELETE_ON_ERROR:
.SECONDARY:

all: $(SERVICE_BINARIES) $(SOUKCTL) $(TOPOLOGY) ## build everything

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- messages ----

$(BUILD)/proto/google/protobuf/descriptor.pb-c.h:
	@mkdir -p $(BUILD)/proto
	$(Q)protoc-c -I/usr/include --c_out=$(BUILD)/proto google/protobuf/descriptor.proto

$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h &: proto/%.proto
	@mkdir -p $(BUILD)/proto
	$(Q)protoc-c -Iproto -I/usr/include --c_out=$(BUILD)/proto $*.proto

$(BUILD)/proto/souk_types.c: proto/generate.py $(PROTOS:%=proto/%)
	@mkdir -p $(BUILD)/proto
	$(Q)$(PYTHON) proto/generate.py --out $@ $(PROTOS)

# Generated code is compiled without the warnings that we hold our own to.
$(BUILD)/proto/%.o: $(BUILD)/proto/%.c $(PROTO_HEADERS)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<

# ---- migrations and Valkey functions become C arrays in the binaries ----

# The folders, too: what is taken out of one makes it newer.
$(BUILD)/gen/libcommon_files.c: libcommon/embed.py $(wildcard $(addprefix libcommon/,migrations migrations/*.sql functions functions/*.lua))
	@mkdir -p $(BUILD)/gen
	$(Q)$(PYTHON) libcommon/embed.py LIBCOMMON libcommon $@

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c $(PROTO_HEADERS)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(WARNINGS) -Wno-overlength-strings $(CFLAGS_ALL) -c -o $@ $<

# ---- libcommon ----

$(BUILD)/obj/%.o: %.c | $(PROTO_HEADERS)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CPPFLAGS_$(word 2,$(subst /, ,$*))) $(WARNINGS) $(CFLAGS_ALL) -c -o $@ $<

$(LIBCOMMON): $(LIBCOMMON_OBJECTS) $(PROTO_OBJECTS)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

# ---- services: every .c of the folder, and what is embedded ----

define SERVICE_RULES
SOURCES_$(1) := $$(wildcard services/$(1)/*.c)
OBJECTS_$(1) := $$(patsubst %.c,$$(BUILD)/obj/%.o,$$(SOURCES_$(1))) $$(BUILD)/gen/$(1)_files.o

$$(BUILD)/gen/$(1)_files.c: libcommon/embed.py $$(wildcard $$(patsubst %,services/$(1)/%,migrations migrations/*.sql functions functions/*.lua templates templates/*))
	@mkdir -p $$(BUILD)/gen
	$$(Q)$$(PYTHON) libcommon/embed.py $(1) services/$(1) $$@

$$(BUILD)/bin/$(1): $$(OBJECTS_$(1)) $$(LIBCOMMON)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$(OBJECTS_$(1)) $$(LIBCOMMON) $$(LDLIBS) $$(LDLIBS_$(1))

$$(BUILD)/test/services/$(1)/test/%: $$(BUILD)/obj/services/$(1)/test/%.o $$(OBJECTS_$(1)) $$(LIBCOMMON)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$< $$(filter-out %/main.o,$$(OBJECTS_$(1))) $$(LIBCOMMON) -lcmocka $$(LDLIBS) $$(LDLIBS_$(1))
endef
$(foreach service,$(SERVICES),$(eval $(call SERVICE_RULES,$(service))))

LDLIBS_shipping := -lhpdf

SOUKCTL_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard deploy/soukctl/*.c))
$(SOUKCTL): $(SOUKCTL_OBJECTS) $(LIBCOMMON)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(SOUKCTL_OBJECTS) $(LIBCOMMON) $(LDLIBS) -lcrypt

# The one declaration: what every service says of itself.
$(TOPOLOGY): $(SERVICE_BINARIES)
	@for service in $(SERVICES); do $(BUILD)/bin/$$service --describe || exit 1; done \
		| $(PYTHON) -c 'import json,sys; print(json.dumps({"services": [json.loads(l) for l in sys.stdin]}, indent=1))' >$@

# ---- unit tests ----

$(BUILD)/test/libcommon/test/%: $(BUILD)/obj/libcommon/test/%.o $(LIBCOMMON)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBCOMMON) -lcmocka $(LDLIBS)

# Programs that share a client and a server of their own.
$(patsubst %,$(BUILD)/test/libcommon/test/contract_%,http http_wire http_stores): \
	$(BUILD)/obj/libcommon/test/http_client.o $(BUILD)/obj/libcommon/test/http_fixture.o

$(patsubst %,$(BUILD)/test/libcommon/test/contract_%,outbox recall): $(BUILD)/obj/libcommon/test/outbox_fixture.o

$(BUILD)/test/deploy/soukctl/test/%: $(BUILD)/obj/deploy/soukctl/test/%.o $(SOUKCTL_OBJECTS) $(LIBCOMMON)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(filter-out %/main.o,$(SOUKCTL_OBJECTS)) $(LIBCOMMON) -lcmocka $(LDLIBS) -lcrypt

CONTRACT_TESTS := $(patsubst %.c,$(BUILD)/test/%,$(wildcard libcommon/test/contract_*.c))

unit: $(UNIT_TESTS) ## unit tests: no servers
	$(PYTHON) tests/run.py --build $(BUILD) unit

contract: all $(CONTRACT_TESTS) ## contract tests: one service each, with real stores and broker
	$(PYTHON) tests/run.py --build $(BUILD) libcommon contract

rights: all ## every service tries what is not its own; prints what was refused
	$(PYTHON) tests/run.py --build $(BUILD) rights

system: all ## system tests: the whole shop through the gateway
	$(PYTHON) tests/run.py --build $(BUILD) system

ROUNDS ?= 1000
SHOPPERS ?= 50
PIECES ?= 10
races: all ## ROUNDS (1000) of SHOPPERS (50) who race for PIECES (10): that many sales each time, about six minutes
	PYTHONPATH=tests SOUK_BUILD=$(BUILD) $(PYTHON) tests/races/run.py --rounds $(ROUNDS) --shoppers $(SHOPPERS) --pieces $(PIECES)

# The test build of the services, which die at a crash point when they are told to (sk_crash.h).
crash-build:
	$(Q)$(MAKE) BUILD=$(BUILD)/crash CFLAGS="-O1 -g" DEFINES=-DSK_CRASH_POINTS all

crash: crash-build ## crash points: each service dies at each of them, three times over; then all has to be right
	SOUK_CRASH_ROUNDS=3 $(PYTHON) tests/run.py --build $(BUILD) crash

chaos: ## the fault suite, half an hour: ARGUMENTS="--faults kill-order --seed 47", or --list
	@$(MAKE) prepare
	@$(MAKE) -j2 all $(BUILD)/test/clock.so
	SOUK_BUILD=$(BUILD) $(PYTHON) tests/chaos/suite.py $(ARGUMENTS)

$(BUILD)/test/clock.so: tests/chaos/clock.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(WARNINGS) -std=c17 $(CFLAGS) -fPIC -shared -o $@ $<

BARE := $(BUILD)/bench/bare
bench: ## Souk beside the bare limits of this machine, about four minutes: ARGUMENTS="--only product --seconds 5 --variants 2000"
	@$(MAKE) prepare
	@$(MAKE) -j2 all $(BARE)
	PYTHONPATH=tests SOUK_BUILD=$(BUILD) $(PYTHON) tests/bench/run.py $(ARGUMENTS)

$(BARE): tests/bench/bare.c
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CPPFLAGS) $(WARNINGS) $(CFLAGS_ALL) -o $@ $< $(LDFLAGS_ALL) $(LDLIBS)

test: ## prepare, build, then every test, ending with one total line
	$(MAKE) prepare
	$(MAKE) -j2 all crash-build
	$(MAKE) test-all

test-all: all crash-build $(UNIT_TESTS) $(CONTRACT_TESTS)
	$(PYTHON) tests/run.py --build $(BUILD) unit libcommon contract rights system crash chaos

# ---- the same under sanitizers ----

SANITIZE := BUILD=build/sanitize CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	SANITIZERS="-fsanitize=address,undefined -fno-sanitize-recover=undefined"

sanitize: ## unit and contract tests under ASan and UBSan
	$(MAKE) $(SANITIZE) sanitize-all

sanitize-all: all $(UNIT_TESTS) $(CONTRACT_TESTS)
	$(PYTHON) tests/run.py --build $(BUILD) unit libcommon contract

# ---- fuzz targets: every decoder of outside bytes, with libFuzzer, ASan and UBSan ----

FUZZ_SECONDS ?= 60
FUZZ_PROGRAMS := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/target/%,$(wildcard tests/fuzz/fuzz_*.c))
CPPFLAGS_fuzz := -I.
# Functions that a target answers itself, in place of a store, a connection or the broker.
FUZZ_WRAPS_body := sk_fields_finish sk_request_transact
FUZZ_WRAPS_request := mg_get_header
FUZZ_WRAPS_letter := broker_call
FUZZ_TRY = echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' \
	| clang -fsanitize=fuzzer,address,undefined -Wno-missing-prototypes -x c -o /dev/null -

fuzz: ## the fuzz targets, FUZZ_SECONDS (60) each; ends with an error where one finds anything
	@$(FUZZ_TRY) 2>/dev/null || { deploy/local/prepare fuzz && $(FUZZ_TRY); } \
		|| { echo "fuzz: needs clang with libFuzzer, on Debian the packages clang and libclang-rt-dev"; exit 1; }
	$(MAKE) BUILD=build/fuzz CC=clang CFLAGS="-O1 -g -fno-omit-frame-pointer" \
		SANITIZERS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined" fuzz-all

fuzz-all: $(FUZZ_PROGRAMS)
	$(PYTHON) tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(FUZZ_PROGRAMS)

$(BUILD)/parts.a: $(foreach service,$(SERVICES),$(filter-out %/main.o,$(OBJECTS_$(service)))) \
	$(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/main.c,$(wildcard deploy/soukctl/*.c)))
	@mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/target/%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/parts.a $(LIBCOMMON)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer $(FUZZ_WRAPS_$*:%=-Wl,--wrap=%) -o $@ $^ $(LDLIBS) -lhpdf -lcrypt

# ---- the model of the order workflow: spin, with the services' own tables ----

MODEL_OBJECTS := $(patsubst %,$(BUILD)/obj/%.o,tests/model/bridge services/order/workflow_table \
	services/order/rules services/inventory/rules services/payment/rules services/shipping/rules)

model: $(MODEL_OBJECTS) $(LIBCOMMON) ## check the model of the order workflow, some minutes of one core
	@command -v spin >/dev/null || { echo "model: spin is missing; make prepare installs it"; exit 1; }
	$(PYTHON) tests/model/check.py --out $(BUILD)/model --cc "$(CC)" $(MODEL_OBJECTS) $(LIBCOMMON) $(LDLIBS)

# ---- lint ----

C_FILES := $(wildcard libcommon/*.[ch] libcommon/test/*.c services/*/*.[ch] services/*/test/*.c \
	deploy/soukctl/*.[ch] deploy/soukctl/test/*.c tests/model/*.[ch] tests/chaos/*.c tests/fuzz/*.[ch] tests/bench/*.c)

format: ## format the C files
	clang-format -i $(C_FILES)

check-headers: $(PROTO_HEADERS)
	@for header in $(filter %.h,$(C_FILES)); do \
		printf '#include "%s"\nextern int souk_check;\n' "$$PWD/$$header" | $(CC) $(CPPFLAGS) $(WARNINGS) -Wno-unused-function -std=c17 -fsyntax-only -x c - \
		|| exit 1; done; echo "check-headers: each header compiles alone"

lint: check-headers tidy $(TOPOLOGY) ## house rules, contracts, headers, clang-tidy, format, alerts
	$(PYTHON) tests/lint/check.py --build $(BUILD)
	$(PYTHON) proto/check.py --topology $(TOPOLOGY)
	clang-format --dry-run -Werror $(C_FILES)
	promtool check config config/prometheus/prometheus.yml
	promtool test rules config/prometheus/test/souk.yml

TIDY_STAMPS := $(patsubst %.c,$(BUILD)/tidy/%.ok,$(wildcard libcommon/*.c services/*/*.c deploy/soukctl/*.c))
.PHONY: tidy
tidy: $(TIDY_STAMPS)
$(BUILD)/tidy/%.ok: %.c .clang-tidy $(wildcard libcommon/*.h) | $(PROTO_HEADERS)
	@mkdir -p $(@D)
	@echo "  TIDY  $<"
	$(Q)clang-tidy --quiet $< -- -std=c17 $(CPPFLAGS) -Iservices/$(word 2,$(subst /, ,$*)) 2>/dev/null
	@touch $@

# ---- the local stack ----

prepare: ## install what is missing from Debian's packages
	@deploy/local/prepare

run: ## prepare, build, and start the whole shop on loopback
	@$(MAKE) --no-print-directory prepare
	@$(MAKE) --no-print-directory -j2 all
	@SOUK_BUILD=$(BUILD) deploy/local/stack run

stop: ## stop it
	@deploy/local/stack stop

status: ## what runs, and where
	@deploy/local/stack status

rolling: ## restart the services, one replica after the other
	@deploy/local/stack rolling

logs: ## follow the logs
	@deploy/local/stack logs

clean: ## remove everything made (not .run/)
	rm -rf $(BUILD)

# Headers: dependency files written by the compiler beside each object.
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
