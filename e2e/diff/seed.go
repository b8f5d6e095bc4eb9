package diff

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// Seed is a valid object of a kind. Its texts may hold ${name}, which makes names unique, and ${ns}.
type Seed struct {
	schema.GroupVersionKind
	Object map[string]any
}

// LoadSeeds reads every *.yaml file of a directory. A file holds the objects of one kind, the plainest first.
func LoadSeeds(dir string) ([]Seed, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("find seeds: %w", err)
	}
	var all []Seed
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read seeds: %w", err)
		}
		seeds, err := parseSeeds(data)
		if err != nil {
			return nil, fmt.Errorf("read seeds in %s: %w", file, err)
		}
		all = append(all, seeds...)
	}
	return all, nil
}

func parseSeeds(data []byte) ([]Seed, error) {
	var all []Seed
	documents := utilyaml.NewYAMLToJSONDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		err := documents.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", len(all)+1, err)
		}
		object, ok := decodeJSON(raw).(map[string]any)
		if !ok {
			continue // a comment before the first object
		}
		apiVersion, _ := object["apiVersion"].(string)
		kind, _ := object["kind"].(string)
		gv, err := schema.ParseGroupVersion(apiVersion)
		if err != nil || kind == "" {
			return nil, fmt.Errorf("object %d: no apiVersion and kind", len(all)+1)
		}
		all = append(all, Seed{GroupVersionKind: gv.WithKind(kind), Object: object})
	}
}
