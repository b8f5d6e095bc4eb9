package fieldmanager

// maxSetDepth bounds the nesting of a set that parseSet reads.
const maxSetDepth = 100

// parseSet reads FieldsV1 as [set.appendTo] writes it. It reports false for everything else, such as other orders, white space
// or escaped characters, even where the meaning would be clear: the caller leaves those to the library. The result shares
// memory with fields.
func parseSet(fields string) (set, bool) {
	p := setParser{rest: fields}
	s, ok := p.node(set{}, 0)
	return s, ok && p.rest == ""
}

type setParser struct{ rest string }

func (p *setParser) take(text string) bool {
	if len(p.rest) < len(text) || p.rest[:len(text)] != text {
		return false
	}
	p.rest = p.rest[len(text):]
	return true
}

// node reads an object into s, whose key is set.
func (p *setParser) node(s set, depth int) (set, bool) {
	if !p.take("{") || depth > maxSetDepth {
		return s, false
	}
	if p.take("}") {
		s.member = s.key != ""
		return s, true
	}
	if s.key != "" && p.take(`".":{},`) {
		s.member = true
	}
	for {
		key, ok := p.key()
		if !ok || (len(s.children) > 0 && compareKeys(s.children[len(s.children)-1].key, key) >= 0) || !p.take(":") {
			return s, false
		}
		child, ok := p.node(set{key: key}, depth+1)
		if !ok {
			return s, false
		}
		s.add(child)
		if p.take("}") {
			return s, true
		}
		if !p.take(",") {
			return s, false
		}
	}
}

// key reads a quoted path element.
func (p *setParser) key() (string, bool) {
	if !p.take(`"`) {
		return "", false
	}
	end := 0
	for ; end < len(p.rest) && p.rest[end] != '"'; end++ {
		if p.rest[end] == '\\' {
			end++
		}
	}
	if end >= len(p.rest) {
		return "", false
	}
	key := p.rest[:end]
	p.rest = p.rest[end+1:]
	if len(key) > 2 && key[:2] == "f:" {
		return key, plain(key)
	}
	var b keyBuffer
	_, ok := parseKey(key, b[:0])
	return key, ok
}
