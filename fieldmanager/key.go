package fieldmanager

import (
	"cmp"
	"strconv"
	"strings"
)

// keyPart is one part of what identifies an item of a list: the value of a key field, or with an empty name the item itself.
type keyPart struct {
	name   string
	text   string // of a string
	number int64  // of a number
	isText bool
}

// compareItems orders the identities of list items: field by field, by name and then by value, with numbers before strings.
func compareItems(a, b []keyPart) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		switch {
		case x.isText && y.isText:
			if c := strings.Compare(x.text, y.text); c != 0 {
				return c
			}
		case x.isText:
			return 1
		case y.isText:
			return -1
		default:
			if c := cmp.Compare(x.number, y.number); c != 0 {
				return c
			}
		}
	}
	return cmp.Compare(len(a), len(b))
}

// formatKey writes the identity of an item as it stands between the quotes of FieldsV1.
func formatKey(parts []keyPart) string {
	var b []byte
	if len(parts) == 1 && parts[0].name == "" {
		return string(appendPart(append(b, "v:"...), parts[0]))
	}
	b = append(b, "k:{"...)
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, `\"`...), p.name...), `\":`...)
		b = appendPart(b, p)
	}
	return string(append(b, '}'))
}

func appendPart(b []byte, p keyPart) []byte {
	if !p.isText {
		return strconv.AppendInt(b, p.number, 10)
	}
	return append(append(append(b, `\"`...), p.text...), `\"`...)
}

// keyBuffer is room for the parts of the identities that occur, so that parsing one allocates nothing.
type keyBuffer [4]keyPart

// parseKey reads what formatKey writes into parts, which is empty. It reports false for anything else, among it every key with a character that JSON
// escapes: such keys are left to the library.
func parseKey(key string, parts []keyPart) ([]keyPart, bool) {
	if rest, ok := strings.CutPrefix(key, "v:"); ok {
		p, rest, ok := parsePart(rest)
		return append(parts, p), ok && rest == ""
	}
	rest, ok := strings.CutPrefix(key, "k:{")
	if !ok {
		return nil, false
	}
	for {
		name, after, ok := parseText(rest)
		if !ok || name == "" || !strings.HasPrefix(after, ":") {
			return nil, false
		}
		p, after, ok := parsePart(after[1:])
		if !ok {
			return nil, false
		}
		p.name = name
		if len(parts) > 0 && parts[len(parts)-1].name >= name {
			return nil, false
		}
		parts = append(parts, p)
		if after == "}" {
			return parts, true
		}
		if rest, ok = strings.CutPrefix(after, ","); !ok {
			return nil, false
		}
	}
}

// parsePart reads a string or a whole number at the beginning of s.
func parsePart(s string) (p keyPart, rest string, ok bool) {
	if strings.HasPrefix(s, `\"`) {
		p.isText = true
		p.text, rest, ok = parseText(s)
		return p, rest, ok
	}
	end := strings.IndexAny(s, ",}")
	if end < 0 {
		end = len(s)
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s[:end] || n > maxExact || n < -maxExact {
		return p, s, false
	}
	p.number = n
	return p, s[end:], true
}

// maxExact bounds the whole numbers that the library, which reads them as floating point, does not change.
const maxExact = 1<<21 - 1

// parseText reads \"text\" at the beginning of s.
func parseText(s string) (text, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, `\"`)
	if !ok {
		return "", s, false
	}
	text, rest, ok = strings.Cut(s, `\"`)
	return text, rest, ok && plain(text)
}

// plain reports whether no character of s is written differently in JSON, in any of the ways that the library encodes it.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
