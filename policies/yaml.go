package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"
)

// decodeYAML reads one YAML 1.2 document (so that "off" is a string) of at most [MaxSourceBytes] into v, by its JSON field names. Unknown
// and duplicate fields, keys that are not strings and a second document are errors.
func decodeYAML(text []byte, v any) error {
	if len(text) > MaxSourceBytes {
		return fmt.Errorf("%d bytes long, the limit is %d", len(text), MaxSourceBytes)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document any
	if err := d.Decode(&document); err != nil {
		return err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document")
	}
	raw, err := json.Marshal(document)
	if err != nil {
		return err
	}
	strict, err := kjson.UnmarshalStrict(raw, v)
	return errors.Join(append(strict, err)...)
}
