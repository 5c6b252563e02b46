"""Wrong command lines, script and arguments, and what is told of each, by name."""

PHASE3 = ("train3", "digits", "m1.keras", "heuristic", "otsu")
ATTENTION = ("train-att", "digits", "--limit", "8", "--steps", "1")
ACOL = ("train-acol", "digits", "--output", "a.keras")
ERASING = ("train-erasing", "digits")
WRONG = {
    "dataset": (("train1", "digit"), "unknown dataset 'digit'; did you mean 'digits'?"),
    "dataset of a run": ((None, "run", "mnits"), "did you mean 'mnist'?"),
    "model": (("train2", "digits", "no.keras", "otsu"), "no model file no.keras"),
    "mask model": (
        ("train3", "digits", "m1.keras", "no.h5", "otsu", "adv"),
        "no model file no.h5",
    ),
    "mistakes of no model": (
        ("train1", "digits", "--mistakes-of", "no.keras"),
        "no model file no.keras",
    ),
    "mistakes of no model in a run": (
        (None, "run", "digits", "--mistakes-of", "no.keras"),
        "no model file no.keras",
    ),
    "an option of photographs in the three phases": (
        (None, "run", "digits", "--freeze"),
        "--freeze is not for the three phases: leave it out, or give --recipe photographs",
    ),
    "an output of a run": (
        (None, "run", "digits", "--output", "m.keras"),
        "--output m.keras",
    ),
    "an option of photographs, and none there": (
        (None, "run", "folder:nowhere", "--freeze"),
        "nowhere",
    ),
    "mistakes of a classifier of other images": (
        ("train1", "shapes", "--image-size", "32", "--mistakes-of", "m1.keras"),
        "m1.keras takes images",
    ),
    "mixing without masks": (
        ("train1", "digits", "--background-mixing", "0.5"),
        "--background-mixing needs masks, and the training images of digits have none",
    ),
    "mixing in a run without masks": (
        (None, "run", "digits", "--classifier-background-mixing", "0.5"),
        "mix in phase 3 alone (train3.py, or bginv run --adversarial-background-mixing)",
    ),
    "nothing to mix with": (
        ("train1", "shapes", "--background-mixing", "1", "--batchsize", "1"),
        "--batchsize 1 gives 1 image a device, and mixing needs 2; raise it",
    ),
    "backgrounds that are replaced anyway": (
        ("train3", "digits", "m1.keras", "heuristic", "otsu", "adv", "--background-mixing", "0.5"),
        "--background-mixing changes the images that --clean-fraction leaves as they are",
    ),
    "model's ending": (("evaluate", "digits", "m1.bin"), "must end in .keras or .h5"),
    "pickled model": (("evaluate", "digits", "m1.pt"), "m1.pt may hold pickled code"),
    "no TF_CONFIG": (
        ("train1", "digits", "--distribute", "multiworker"),
        "needs the environment variable TF_CONFIG",
    ),
    "image size of its own": (
        ("train1", "digits", "--image-size", "32"),
        "shapes, shapes_unbiased, voc2012 alone; digits has a size of its own",
    ),
    "no letters of a recipe": (
        (*ACOL, "--cls-recipe", "px"),
        "--cls-recipe must be letters p and n, such as pn; received 'px'",
    ),
    "too few deltas": (
        (*ACOL, "--cls-recipe", "pnp"),
        "--delta-list needs 2 numbers, one for each classifier of 'pnp' but the last; received 1",
    ),
    "deltas that are no numbers": (
        (*ACOL, "--delta-list", "0.6;0.9"),
        "must be numbers separated by commas; received '0.6;0.9'",
    ),
    "no data set to localize in": (
        ("train-acol", "--epochs", "1"),
        "one of the name of a data set and --input-path is needed",
    ),
    "two data sets": (
        ("train-erasing", "digits", "--dataset_root", "photographs"),
        "one of the name of a data set and --dataset-root is needed",
    ),
    "no VOCdevkit": (
        ("train-erasing", "--dataset_root", "photographs"),
        "voc2012 needs these in photographs: VOCdevkit/VOC2012/JPEGImages",
    ),
    "features of one place": (
        (*ACOL, "--weights", "none", "--model", "resnet18"),
        "--image-size 32 leaves features of 1x1, which show no place",
    ),
    "checkpoint for a network": (
        (*ACOL, "--weights", "no.pth"),
        "no.pth: there is no such file",
    ),
    "weights that Keras does not have": (
        (*ACOL, "--model", "resnet34"),
        "Keras has no ImageNet weights of resnet34, only of resnet50",
    ),
    "CAM of dense layers": (
        (*ERASING, "--localizer-model", "vgg16", "--attention-type", "cam"),
        "--attention-type cam needs one dense layer behind averaged features",
    ),
    "two adversaries": (
        (*ERASING, "--share_weights", "--adversarial_model", "resnet18"),
        "leave --adversarial-model out",
    ),
    "nothing to evaluate": ((*ERASING, "--evaluate"), "--evaluate needs --output"),
    "checkpoint to convert": (
        (None, "convert-weights", "no.npz", "a.keras"),
        "no.npz: there is no such file",
    ),
    "conversion to h5": (
        (None, "convert-weights", "no.npz", "a.h5"),
        "the output must end in .keras; received a.h5",
    ),
    "unknown source": (("train-adapt", "gta6"), "unknown domain 'gta6'. Known: gta5"),
    "missing source": (
        ("train-adapt", "--data-dir", "nowhere"),
        "gta5: nowhere is not a folder; name that of the publisher's files with --data-dir",
    ),
    "no domain": (
        ("train-adapt", "domain:photographs"),
        "photographs has no folder images; the layout is PATH/images, PATH/labels",
    ),
    "size of one number": (
        ("train-adapt", "shapes", "--input-size", "64"),
        "--input-size must be width,height; received 64",
    ),
    "no images of the target": (
        ("train-adapt", "shapes", "--target", "domain:photographs", "--image-size", "64"),
        "has no folder images",
    ),
    "other classes of the target": (
        ("train-adapt", "shapes", "--target", "domain:streets", "--image-size", "64"),
        "source and target need the same classes; shapes has background, ",
    ),
    "a target to choose by without label maps": (
        ("train-adapt", "domain:streets", "--target", "domain:unlabelled", "--image-size", "64")
        + ("--validation", "target"),
        "--validation target needs label maps, and domain:unlabelled has none",
    ),
    "two outputs of a VGG": (
        ("train-adapt", "shapes", "--model", "DeeplabVGG"),
        "DeeplabVGG has one output; give --adaptation single or feature",
    ),
    "rates of 0": (
        ("train-adapt", "shapes", "--target", "shapes_dusk", "--image-size", "32")
        + ("--model", "light", "--steps", "20", "--num-steps", "10"),
        "--num-steps 10 is where rates reach 0, before the last of 20 steps",
    ),
    "segmenter as h5": (
        ("train-adapt", "shapes", "--output", "a.h5"),
        "a segmentation network is saved as .keras; received a.h5",
    ),
    "model of other classes": (
        (None, "evaluate-domain", "shapes", "m1.keras", "--image-size", "32"),
        "but maps of 7 classes are needed: name a segmentation network",
    ),
    "no variation": (
        ("evaluate-backgrounds", "photographs", "m1.keras"),
        "photographs holds no variation; the layout is ROOT/original/val/CLASS/NAME.JPEG",
    ),
    "TFDS without a name": (("train1", "tfds:"), "needs the name of a TFDS builder"),
    "missing files": (
        (None, "datasets", "gtsrb", "--data-dir", "photographs"),
        "gtsrb needs these in photographs: gtsrb/GTSRB/Training or",
    ),
    "missing files to train on": (
        ("train1", "gtsrb", "--data-dir", "photographs"),
        "get them from INI Bochum (benchmark.ini.rub.de) and unpack them there",
    ),
    "network of Keras in another module": (
        (
            "train1",
            "digits",
            "--architecture",
            "mobilenetv3small",
            "--weights",
            "none",
            "--output",
            "a.h5",
        ),
        "a.h5: .h5 files hold the paper's architectures",
    ),  # fmt: skip
    "architecture": (
        ("train1", "digits", "--architecture", "vgg18"),
        "--architecture must be auto, small, efficientnet_lite0 or one of ConvNeXtBase",
    ),
    "no weights file": (
        ("train1", "digits", "--architecture", "MobileNet", "--weights", "no.h5"),
        "--weights no.h5: there is no such file",
    ),
    "weights of something else": (
        ("train1", "digits", "--architecture", "MobileNet", "--weights", "photographs/b.png"),
        "--weights photographs/b.png does not hold mobilenet",
    ),
    "weights of the small classifier": (
        ("train1", "digits", "--weights", "no.h5"),
        "is for a network of keras.applications",
    ),
    "weights without a network": (
        ("train1", "digits", "--architecture", "mobilenet"),
        "cannot be downloaded (<urlopen error no network today>): instead of imagenet, give a file",
    ),
    "images too small for the network": (
        ("train1", "digits", "--architecture", "xception", "--weights", "none"),
        "Xception: Input size must be at least 71x71",
    ),
    "h5 of a network of Keras": (
        (
            "train1",
            "digits",
            "--architecture",
            "mobilenet",
            "--weights",
            "none",
            "--output",
            "a.h5",
        ),
        "a.h5: .h5 files hold the paper's architectures",
    ),
    "h5 of a classifier of any size": (
        ("train3", "digits", "any.keras", "heuristic", "otsu", "black", "--output", "m3.h5"),
        "save this classifier as .keras",
    ),
    "no masks": (
        ("train3", "digits", "m1.keras", "given", "otsu", "adv"),
        "the training images of digits have no masks of their own",
    ),
    "no masks for a run": (
        (None, "run", "digits", "--masks", "given"),
        "have no masks of their own: name a mask generator or heuristic",
    ),
    "threshold of the heat map": (
        ("train-att", "digits", "--tau", "2"),
        "--tau must be at most 1; received 2.0",
    ),
    "global classifier of AG-CNN": (
        ("train-att", "digits", "--fusion", "paper", "--global-model", "m1.keras"),
        "--global-model is for --fusion joint",
    ),
    "second stage of AG-CNN": (
        ("train-att", "digits", "--fusion", "paper", "--fusion-steps", "3"),
        "--fusion-steps is for --fusion joint",
    ),
    "tau of AG-CNN": (
        ("train-att", "digits", "--fusion", "paper", "--tau", "0.5"),
        "--tau is for --fusion joint or --threshold tau",
    ),
    "momentum of Adam": (
        (None, "run", "digits", "--method", "erm", "--optimizer", "adam", "--momentum", "0.5"),
        "--momentum has no effect with --optimizer adam",
    ),
    "boxes beside masks": (
        (None, "make-variations", "shapes", "out", "--image-size", "32", "--boxes", "b.csv"),
        "--boxes is for --masks boxes, and masks are given",
    ),
    "no global classifier": (
        (*ATTENTION, "--global-model", "no.keras"),
        "no model file no.keras",
    ),
    "global classifier without maps": (
        (*ATTENTION, "--global-model", "dense.keras"),
        "has no layer that flattens or averages feature maps",
    ),
    "global classifier with maps inside a model": (
        (*ATTENTION, "--global-model", "nested.keras"),
        "has no layer that flattens or averages feature maps",
    ),
    "global classifier and architecture": (
        (*ATTENTION, "--global-model", "m1.keras", "--architecture", "vgg19"),
        "--architecture is",
    ),
    "h5 of an attention model": (
        (*ATTENTION, "--output", "a.h5"),
        "a.h5: .h5 files hold the paper's architectures",
    ),
    "masks into a file": (
        ("evaluate-seg", "digits", "u1.keras", "--output", "m1.keras"),
        "m1.keras is a file",
    ),
    "contact sheets into a file": (
        (None, "datasets", "digits", "--output", "m1.keras"),
        "m1.keras is a file",
    ),
    "no folder": (("train1", "folder:nowhere"), "nowhere does not exist"),
    "no train folder": (("train1", "folder:photographs"), "photographs holds no folder train"),
    "folder of another layout": (("train1", "photographs"), "photographs holds no folder train"),
    "resume without a place": (("train1", "digits", "--resume"), "--resume needs the --run-dir or"),
    "resume and overwrite": (
        ("train1", "digits", "--output", "m.h5", "--resume", "--overwrite"),
        "give one of them",
    ),
    "resume without a run": (
        (None, "run", "digits", "--resume"),
        "runs/digits holds no run that could go on",
    ),
    "precision": (("train1", "digits", "--precision", "half"), "invalid choice: 'half'"),
    "checkpoint minutes": (
        ("train1", "digits", "--checkpoint-minutes", "-1"),
        "--checkpoint-minutes must be at least 0",
    ),
    "image size": (
        ("evaluate", "digits", "m64.keras"),
        "takes images of 64x64x1, but those of digits are 32x32x1",
    ),
    "classes": (
        ("evaluate", "digits", "m5.keras"),
        "knows 5 classes, but digits has labels 0 to 9",
    ),
    "kind of model": (("evaluate", "digits", "u1.keras"), "name a classifier"),
    "no photographs": ((*PHASE3, "real"), "back = real needs --backgrounds"),
    "photographs without use": (
        (*PHASE3, "adv", "--backgrounds", "."),
        "--backgrounds is for back = real",
    ),
    "broken photograph": (
        (*PHASE3, "real", "--backgrounds", "photographs"),
        "1 of 2 image files cannot be read, the first: photographs/b.png (it is not a whole jpeg",
    ),
    "data folder": (("train1", "mnist", "--data-dir", "nowhere"), "nowhere is not a folder"),
    "a phase of a run": (
        (None, "run", "digits", "--masks-steps", "0"),
        "masks: --steps must be at least 1; received 0",
    ),
    "output is a folder": (("train1", "digits", "--output", "photographs"), "is a folder"),
    "weights alone": (("train1", "digits", "--output", "a.weights.h5"), "weights alone"),
    "h5 of another architecture": (
        ("train3", "digits", "own.keras", "heuristic", "otsu", "adv", "--output", "m3.h5"),
        "save this classifier as .keras",
    ),
    "two outputs": (("evaluate", "digits", "two.keras"), "has 2 outputs"),
    "two inputs": (("evaluate", "digits", "inputs.keras"), "has 2 inputs"),
    "masks of another size": (
        ("train3", "digits", "m1.keras", "half.keras", "otsu", "adv"),
        "outputs of shape (16, 16, 1), which are no masks",
    ),
    "not a number": (
        ("train1", "digits", "--learning-rate", "nan"),
        "--learning-rate must be a finite number",
    ),
    "photographs": (
        (*PHASE3, "real", "--backgrounds", "nowhere"),
        "--backgrounds nowhere is not a folder that can be read",
    ),
    "tiles": ((*PHASE3, "adv", "--tiles", "3"), "--tiles may be 1, 2, 4, 8"),
    "tiles twice": ((*PHASE3, "adv", "--tiles", "2,2"), "--tiles names a count twice: 2,2"),
    "epochs": (("train1", "digits", "--epochs", "-1"), "--epochs must be at least 1; received -1"),
    "number": (("train1", "digits", "--epochs", "many"), "invalid int value: 'many'"),
    "choice": (("train2", "digits", "m1.keras", "half"), "invalid choice: 'half'"),
    "missing argument": (("train2", "digits"), "required: model, binarize"),
    "unknown flag": (("train1", "digits", "--epoch-count", "3"), "unrecognized arguments"),
    "misspelt flag": (
        (None, "run", "digits", "--run-dirr", "a"),
        "bginv run: error: unrecognized arguments: --run-dirr a; did you mean --run-dir?",
    ),
    "misspelt command": (
        (None, "audti", "model.keras"),
        "unknown command 'audti'; did you mean audit?",
    ),
    "output's ending": (("train1", "digits", "--output", "m.pt"), "must end in .keras or .h5"),
    "output exists": (("train1", "digits", "--output", "m1.keras"), "m1.keras exists already"),
    "run folder exists": (("train1", "digits", "--run-dir", "."), "exists already"),
    "run folder is a file": (("train1", "digits", "--run-dir", "m1.keras/x"), "is a file"),
    "batch": (
        (*PHASE3, "adv", "--tiles", "1,2,4", "--batchsize", "2"),
        "leaves 2 images for 3 generators",
    ),
    "steps and epochs": (
        ("train1", "digits", "--steps", "3", "--epochs", "3"),
        "--steps and --epochs exclude each other",
    ),
    "no command": ((None,), "required: command"),
}
