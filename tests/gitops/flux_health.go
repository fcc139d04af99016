package main

import (
	"context"
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func fluxHealth(result *status.Result, err error) health {
	if err != nil {
		return health{status.UnknownStatus.String(), err.Error()}
	}
	return health{result.Status.String(), result.Message}
}

func kstatus(object *unstructured.Unstructured) (any, error) {
	return fluxHealth(status.Compute(object)), nil
}

// readKustomization fails on a field that Flux doesn't know.
func readKustomization(text []byte) (*kustomizev1.Kustomization, error) {
	kustomization := &kustomizev1.Kustomization{}
	if err := yaml.UnmarshalStrict(text, kustomization); err != nil {
		return nil, err
	}
	return kustomization, nil
}

// celHealth judges by the expressions of a Kustomization, and by kstatus where it has none for a kind.
func celHealth(text []byte) (judge, error) {
	kustomization, err := readKustomization(text)
	if err != nil {
		return nil, err
	}
	evaluators := map[schema.GroupKind]*cel.StatusEvaluator{}
	for _, check := range kustomization.Spec.HealthCheckExprs {
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return nil, err
		}
		kind := schema.FromAPIVersionAndKind(check.APIVersion, check.Kind).GroupKind()
		evaluators[kind] = evaluator
	}
	return func(object *unstructured.Unstructured) (any, error) {
		kind := object.GroupVersionKind().GroupKind()
		for _, key := range []schema.GroupKind{kind, {Group: kind.Group}} {
			if evaluator, found := evaluators[key]; found {
				return fluxHealth(evaluator.Evaluate(context.Background(), object)), nil
			}
		}
		return nil, fmt.Errorf("no expression is for %s", kind)
	}, nil
}
