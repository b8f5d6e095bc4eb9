package api

import (
	"strings"
	"unicode/utf8"
)

// Cut returns the beginning of a text, at most n bytes of it. No character is split; text that is short enough is returned as it is.
func Cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

const ellipsis = "..."

// Shorten is [Cut] that tells: what is cut off is replaced by three dots, which count. n must be 3 or more.
func Shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return Cut(text, n-len(ellipsis)) + ellipsis
}

// Line replaces the control characters of a text by spaces, since they could forge lines in headers, logs and terminals.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || (r >= 0x7f && r < 0xa0) {
			return ' '
		}
		return r
	}, text)
}
