package audit

import "io"

// File is the interface behind which tests inject faults.
type File = file

// OpenWrapped opens a log whose segments are wrapped.
func OpenWrapped(o Options, wrap func(File) File) (*Log, error) {
	o.wrap = wrap
	return Open(o)
}

// OpenStream opens a log that writes to w in the place of standard output.
func OpenStream(o Options, w io.Writer) (*Log, error) {
	o.Path, o.stdout = "-", &stream{w: w}
	return Open(o)
}

// CheckpointText is the text that ParseCheckpoint reads.
func CheckpointText(c Checkpoint) string { return c.text() }

// RedactURI is what is recorded of a request URI.
func RedactURI(uri string) string { return redactURI(uri) }

// ObjectForLog is what is recorded of a body.
func ObjectForLog(body []byte) ([]byte, error) { return objectForLog(body, true) }
