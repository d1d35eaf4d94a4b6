# SPDX-License-Identifier: Apache-2.0
# cmake -DFOLDER=workflows -DOUT=shipped.c -DHEADER=work/workflow/workflow.h -DTABLE=workflow_shipped -P embed.cmake:
# the folder's YAML files as C, an array TABLE of struct TABLE {name, text, length}, which HEADER declares, and TABLE_count.
file(GLOB files ${FOLDER}/*.yaml)
list(SORT files)
set(code "/* Made from ${FOLDER} at build time. */\n#include \"${HEADER}\"\n\n")
set(table "")
set(count 0)
foreach(file ${files})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND code "static const unsigned char bytes_${count}[] = {${bytes}0};\n")
  string(APPEND table "    {\"${name}\", (const char *)bytes_${count}, sizeof(bytes_${count}) - 1},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUT} "${code}\nconst struct ${TABLE} ${TABLE}[] = {\n${table}};\nconst size_t ${TABLE}_count = ${count};\n")
