package store

import "bytes"

// opening and revisionField frame what findRevision looks for.
var (
	opening       = []byte(`{"metadata":{`)
	revisionField = []byte(`"resourceVersion":"`)
)

// findRevision returns where the value of metadata.resourceVersion begins and ends, without its quotes.
//
// It walks the fields of the metadata one by one. A search for the text alone would be quicker and wrong: a label
// or an annotation may have the key resourceVersion, and whoever could make one could make the server overwrite it. The walk
// understands compact JSON without space between tokens, which is the only form that items have, and trusts that it is
// well-formed; from anything else it returns false or some string inside the metadata, and never reads out of bounds.
func findRevision(json []byte) (start, end int, ok bool) {
	if !bytes.HasPrefix(json, opening) {
		return 0, 0, false
	}
	for i := len(opening); i < len(json) && json[i] == '"'; i++ {
		found := bytes.HasPrefix(json[i:], revisionField)
		if i, ok = skipString(json, i); !ok || i >= len(json) || json[i] != ':' {
			return 0, 0, false
		}
		start = i + 2
		if i, ok = skipValue(json, i+1); !ok {
			return 0, 0, false
		}
		if found {
			return start, i - 1, true
		}
		if i >= len(json) || json[i] != ',' {
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// skipString returns the offset behind the string that begins at i.
func skipString(json []byte, i int) (int, bool) {
	for i++; i < len(json); i++ {
		switch json[i] {
		case '\\':
			i++
		case '"':
			return i + 1, true
		}
	}
	return 0, false
}

// skipValue returns the offset behind the value that begins at i.
func skipValue(json []byte, i int) (int, bool) {
	depth := 0
	for i < len(json) {
		switch json[i] {
		case '"':
			var ok bool
			if i, ok = skipString(json, i); !ok {
				return 0, false
			}
			if depth == 0 {
				return i, true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i, true // the end of a number or a word
			}
			if depth--; depth == 0 {
				return i + 1, true
			}
		case ',':
			if depth == 0 {
				return i, true
			}
		}
		i++
	}
	return 0, false
}
