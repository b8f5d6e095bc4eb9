package resource

import (
	"encoding/json"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "sigs.k8s.io/json"
)

// storedForm converts objects to and from a stored version that has another schema than the served one.
type storedForm struct {
	version string // as stored values name it
	encode  func(Object) ([]byte, error)
	decode  func([]byte) (Object, error)
}

// crdForm is for CustomResourceDefinitions: the reference serves v1 and still stores v1beta1, in which what all versions of a resource have
// in common is written once, beside the versions. What clusters hold is of this form.
func crdForm() *storedForm {
	s := runtime.NewScheme()
	install.Install(s)
	convert := func(from, to runtime.Object) error {
		var hub apiextensions.CustomResourceDefinition
		if err := s.Convert(from, &hub, nil); err != nil {
			return fmt.Errorf("convert a CustomResourceDefinition: %w", err)
		}
		if err := s.Convert(&hub, to, nil); err != nil {
			return fmt.Errorf("convert a CustomResourceDefinition: %w", err)
		}
		return nil
	}
	stored := apiextensionsv1beta1.SchemeGroupVersion
	return &storedForm{
		version: stored.String(),
		encode: func(o Object) ([]byte, error) {
			out := &apiextensionsv1beta1.CustomResourceDefinition{}
			if err := convert(o, out); err != nil {
				return nil, err
			}
			out.SetGroupVersionKind(stored.WithKind("CustomResourceDefinition"))
			return json.Marshal(out)
		},
		decode: func(value []byte) (Object, error) {
			in, out := &apiextensionsv1beta1.CustomResourceDefinition{}, &apiextensionsv1.CustomResourceDefinition{}
			if err := utiljson.UnmarshalCaseSensitivePreserveInts(value, in); err != nil {
				return nil, err
			}
			s.Default(in)
			if err := convert(in, out); err != nil {
				return nil, err
			}
			out.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
			return out, nil
		},
	}
}
