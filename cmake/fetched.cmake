# SPDX-License-Identifier: Apache-2.0
# What `make setup` fetched, as targets rooms name in LIBS: fetched_sqlite, fetched_microhttpd, fetched_llama.
# Nothing is downloaded here. A part that is missing is one clear error; pinned names and hashes are in third_party/*.lock.

set(fetched_missing "")
foreach(part sqlite/sqlite3.c sqlite/sqlite3.h microhttpd/include/microhttpd.h microhttpd/lib/libmicrohttpd.a
    llama/include/llama.h llama/common/chat.h llama/vendor/nlohmann/json.hpp
    engine/libllama.v0.5.0.so engine/libggml.v0.5.0.so engine/libggml-base.so engine/libllama-common.so)
  if(NOT EXISTS ${INHOUSE_FETCHED}/${part})
    list(APPEND fetched_missing ${part})
  endif()
endforeach()
if(fetched_missing)
  list(JOIN fetched_missing ", " fetched_missing)
  message(FATAL_ERROR "missing under ${INHOUSE_FETCHED}: ${fetched_missing}\nrun `make setup` (it fetches and checks them), then configure again")
endif()

# SQLite, the amalgamation: >= 3.51.3, because earlier versions can corrupt a database in WAL mode.
# -O2 in every build and never sanitized: its own test suite covers it, and unoptimised it is ten times slower.
file(STRINGS ${INHOUSE_FETCHED}/sqlite/sqlite3.h fetched_sqlite_number REGEX "^#define SQLITE_VERSION_NUMBER ")
string(REGEX REPLACE "[^0-9]" "" fetched_sqlite_number "${fetched_sqlite_number}")
if(fetched_sqlite_number LESS 3051003)
  message(FATAL_ERROR "SQLite ${fetched_sqlite_number} is older than 3051003: run `make setup` to fetch the pinned one")
endif()
add_library(fetched_sqlite STATIC ${INHOUSE_FETCHED}/sqlite/sqlite3.c)
target_include_directories(fetched_sqlite SYSTEM PUBLIC ${INHOUSE_FETCHED}/sqlite)
target_compile_definitions(fetched_sqlite PRIVATE
    SQLITE_THREADSAFE=2               # one thread per connection: the store thread writes, each http thread reads its own
    SQLITE_DQS=0                      # "text" in double quotes is a name, never a string
    SQLITE_ENABLE_FTS5 SQLITE_ENABLE_MATH_FUNCTIONS
    SQLITE_DEFAULT_MEMSTATUS=0        # no global lock around every allocation
    SQLITE_DEFAULT_FOREIGN_KEYS=1 SQLITE_DEFAULT_WAL_SYNCHRONOUS=2 SQLITE_DEFAULT_SYNCHRONOUS=2
    SQLITE_LIKE_DOESNT_MATCH_BLOBS SQLITE_OMIT_DEPRECATED SQLITE_OMIT_SHARED_CACHE SQLITE_OMIT_LOAD_EXTENSION
    SQLITE_SECURE_DELETE=1            # erased content is overwritten, not only unlinked
    SQLITE_TRUSTED_SCHEMA=0 SQLITE_MAX_EXPR_DEPTH=200 SQLITE_TEMP_STORE=2 SQLITE_USE_URI=0 HAVE_FDATASYNC=1)
target_compile_options(fetched_sqlite PRIVATE -O2 -w -fPIE -fstack-protector-strong)
target_link_libraries(fetched_sqlite PUBLIC Threads::Threads m)
if(INHOUSE_SANITIZE STREQUAL "thread")
  # TSan must see its atomics and mutexes, or every use of a connection across threads looks like a race.
  target_compile_options(fetched_sqlite PRIVATE -fsanitize=thread)
endif()

# libmicrohttpd 1.0.1, built statically by `make setup`, with TLS from GnuTLS (LGPL, linked dynamically).
add_library(fetched_microhttpd INTERFACE)
target_include_directories(fetched_microhttpd SYSTEM INTERFACE ${INHOUSE_FETCHED}/microhttpd/include)
pkg_check_modules(gnutls REQUIRED IMPORTED_TARGET GLOBAL gnutls)
target_link_libraries(fetched_microhttpd INTERFACE ${INHOUSE_FETCHED}/microhttpd/lib/libmicrohttpd.a PkgConfig::gnutls Threads::Threads)

# llama.cpp 0.5.0: its libraries by full path, the headers from the matching source. Only the worker links this. INHOUSE_ENGINE says
# which libraries (`make ENGINE=...`): the prebuilt ones, those with CUDA, a build from the pinned source, or the system's own.
# The installed tree keeps the libraries in lib/inhouse-engine beside bin/; the build tree keeps links to them there, so that the
# backends (opened at run time) are found in the same place in both. ENGINE in that folder names the kind, for `inhouse doctor`.
set(INHOUSE_ENGINE prebuilt CACHE STRING "prebuilt, cuda, source or system")
include(cmake/engine.cmake)
inhouse_find_engine(${INHOUSE_ENGINE} fetched_engine_folder)
set(INHOUSE_ENGINE_DIR ${CMAKE_BINARY_DIR}/lib/inhouse-engine)
inhouse_engine_libraries(${fetched_engine_folder} fetched_engine_linked fetched_engine_libraries)
file(REMOVE_RECURSE ${INHOUSE_ENGINE_DIR})
file(MAKE_DIRECTORY ${INHOUSE_ENGINE_DIR})
foreach(library ${fetched_engine_libraries})
  get_filename_component(name ${library} NAME)
  file(CREATE_LINK ${library} ${INHOUSE_ENGINE_DIR}/${name} SYMBOLIC)
endforeach()
if(IS_DIRECTORY ${fetched_engine_folder}/fallback)
  file(CREATE_LINK ${fetched_engine_folder}/fallback ${INHOUSE_ENGINE_DIR}/fallback SYMBOLIC)
endif()
file(WRITE ${INHOUSE_ENGINE_DIR}/ENGINE "${INHOUSE_ENGINE}\n")
add_library(fetched_llama INTERFACE)
target_include_directories(fetched_llama SYSTEM INTERFACE ${INHOUSE_FETCHED}/llama/include ${INHOUSE_FETCHED}/llama/ggml/include
    ${INHOUSE_FETCHED}/llama/common ${INHOUSE_FETCHED}/llama/vendor)
target_link_libraries(fetched_llama INTERFACE ${fetched_engine_linked})
target_link_options(fetched_llama INTERFACE "LINKER:-rpath-link,${fetched_engine_folder}")
# CMake adds no path of its own: on install it would leave an empty element, and that means the current directory.
set(CMAKE_SKIP_RPATH ON)
# As a library item, because CMake escapes the dollar of an option once too often; Ninja turns $$ into $.
target_link_libraries(fetched_llama INTERFACE "-Wl,-rpath,'$$ORIGIN/../lib/inhouse-engine'")
