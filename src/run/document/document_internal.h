/* SPDX-License-Identifier: Apache-2.0 */
/* run/document: what writer and taker share. Threads: none. */
#pragma once

#include "run/document/document.h"

enum frame_type {
    FRAME_START = 1,  /* u8 length of the format, format, charset */
    FRAME_META,       /* u8 key, 3 zero bytes, value */
    FRAME_BLOCK,      /* the BLOCK_FIXED bytes below, path, text */
    FRAME_LINK,       /* of the last block: u32 begin, u32 end, target */
    FRAME_ATTACHMENT, /* ATTACHMENT_FIXED bytes, name, type, content id, bytes */
    FRAME_WARNING,    /* text */
    FRAME_END,        /* u32 blocks, u32 attachments */
    FRAME_ERROR,      /* u8 length of the code's name, name, NUL, message, NUL, hint */
    FRAME_TYPE_COUNT
};

/* u8 kind, level, header, 0; u32 page, part, line, table, row, column; u64 begin, end; u16 length
   of the path, u16 0. */
#define BLOCK_FIXED 48u
/* u8 inline, 3 zero bytes; u32 part; u16 lengths of name, type, content id; u16 0 */
#define ATTACHMENT_FIXED 16u
#define ATTACHMENT_NAME_MAX 1024u
