// Scores a video with an export of this project, through TensorFlow's C API and OpenCV.
//
//     score_video EXPORTED/MODEL/VERSION VIDEO [HEIGHT WIDTH]
//
// prints a line per frame: its number in the video, and its score. With HEIGHT WIDTH frames are
// brought to that as training brings them: grey or RGB first, then resized. `interface.json`
// of the export says which tensors the signature `step` takes and gives, how large the state is,
// and how many frames per second the model was trained at: of a video with more of them some are
// left out.

#include <tensorflow/c/c_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using Tensor = std::unique_ptr<TF_Tensor, decltype(&TF_DeleteTensor)>;
using Shape = std::vector<int64_t>;

Tensor zeros(TF_DataType type, const Shape& shape) {
  const auto count =
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<int64_t>());
  const size_t bytes = count * TF_DataTypeSize(type);
  Tensor tensor(TF_AllocateTensor(type, shape.data(), shape.size(), bytes), TF_DeleteTensor);
  std::memset(TF_TensorData(tensor.get()), 0, bytes);
  return tensor;
}

// A model that is loaded, and the state of one video.
class Scorer {
 public:
  Scorer(const std::string& folder, const cv::FileStorage& interface)
      : tensors_(interface["tensors"]["step"]), state_(interface["state"]) {
    if (tensors_.empty()) throw std::runtime_error(folder + " has no signature `step`");
    const char* tags[] = {"serve"};
    TF_SessionOptions* options = TF_NewSessionOptions();
    session_ = TF_LoadSessionFromSavedModel(options, nullptr, folder.c_str(), tags, 1, graph_,
                                            nullptr, status_);
    TF_DeleteSessionOptions(options);
    check();
  }

  ~Scorer() {
    if (session_ != nullptr) {
      TF_CloseSession(session_, status_);
      TF_DeleteSession(session_, status_);
    }
    TF_DeleteGraph(graph_);
    TF_DeleteStatus(status_);
  }

  // The score of the next frame of the video: 8 bits, 1 or 3 channels (RGB).
  float step(const cv::Mat& frame) {
    if (values_.empty()) start(frame.rows, frame.cols);
    Tensor pixels = zeros(TF_UINT8, {1, frame.rows, frame.cols, frame.channels()});
    std::memcpy(TF_TensorData(pixels.get()), frame.data, frame.total() * frame.elemSize());

    std::vector<TF_Output> fed = {place(tensors_["inputs"]["frame"])};
    std::vector<TF_Tensor*> given = {pixels.get()};
    std::vector<TF_Output> asked = {place(tensors_["outputs"]["score"])};
    for (const auto& [name, value] : values_) {
      fed.push_back(place(tensors_["inputs"]["state_" + name]));
      given.push_back(value.get());
      asked.push_back(place(tensors_["outputs"]["state_" + name]));
    }
    std::vector<TF_Tensor*> answers(asked.size(), nullptr);
    TF_SessionRun(session_, nullptr, fed.data(), given.data(), fed.size(), asked.data(),
                  answers.data(), asked.size(), nullptr, 0, nullptr, status_);
    check();
    Tensor score(answers[0], TF_DeleteTensor);
    size_t number = 1;
    for (auto& [name, value] : values_) value.reset(answers[number++]);
    return *static_cast<float*>(TF_TensorData(score.get()));
  }

 private:
  // A state of zeros, as every video begins.
  void start(int height, int width) {
    const std::map<std::string, TF_DataType> types = {{"float32", TF_FLOAT},
                                                      {"bfloat16", TF_BFLOAT16},
                                                      {"float16", TF_HALF},
                                                      {"int32", TF_INT32},
                                                      {"uint8", TF_UINT8}};
    for (const auto& part : state_) {
      Shape shape;
      // A number of its own, or "batch", "height", "width/8" and the like.
      for (const auto& size : part["shape"]) {
        if (size.isInt()) {
          shape.push_back(static_cast<int>(size));
          continue;
        }
        const auto words = static_cast<std::string>(size);
        const auto slash = words.find('/');
        const int divisor = slash == std::string::npos ? 1 : std::stoi(words.substr(slash + 1));
        shape.push_back(words == "batch" ? 1 : (words[0] == 'h' ? height : width) / divisor);
      }
      const auto type = types.at(static_cast<std::string>(part["dtype"]));
      values_.emplace(part.name(), zeros(type, shape));
    }
  }

  // The tensor of the graph that is called "OPERATION:INDEX".
  TF_Output place(const cv::FileNode& node) const {
    const auto name = static_cast<std::string>(node);
    const auto colon = name.find(':');
    TF_Operation* operation = TF_GraphOperationByName(graph_, name.substr(0, colon).c_str());
    if (operation == nullptr) throw std::runtime_error("the graph has no tensor " + name);
    return {operation, std::stoi(name.substr(colon + 1))};
  }

  void check() const {
    if (TF_GetCode(status_) != TF_OK) throw std::runtime_error(TF_Message(status_));
  }

  cv::FileNode tensors_, state_;
  TF_Status* status_ = TF_NewStatus();
  TF_Graph* graph_ = TF_NewGraph();
  TF_Session* session_ = nullptr;
  std::map<std::string, Tensor> values_;
};

// As many rows as asked for, bilinear and, where there were more, antialiased: each is the mean of
// those near it, weighted by a triangle. OpenCV resizes without the second or without the first.
cv::Mat to_rows(const cv::Mat& from, int count) {
  const double scale = static_cast<double>(from.rows) / count, reach = std::max(scale, 1.0);
  cv::Mat to = cv::Mat::zeros(count, from.cols, from.type());
  for (int row = 0; row < count; ++row) {
    const double centre = (row + 0.5) * scale - 0.5;
    const int first = std::max(0, static_cast<int>(std::ceil(centre - reach)));
    const int last = std::min(from.rows - 1, static_cast<int>(std::floor(centre + reach)));
    const auto weight = [&](int other) { return 1 - std::abs(other - centre) / reach; };
    double total = 0;
    for (int other = first; other <= last; ++other) total += weight(other);
    for (int other = first; other <= last; ++other)
      cv::scaleAdd(from.row(other), weight(other) / total, to.row(row), to.row(row));
  }
  return to;
}

cv::Mat resized(const cv::Mat& frame, const cv::Size& size) {
  cv::Mat exact, result;
  frame.convertTo(exact, CV_32F);
  exact = to_rows(to_rows(exact, size.height).t(), size.width).t();
  exact.convertTo(result, CV_8U);
  return result;
}

int run(const std::vector<std::string>& words) {
  const cv::FileStorage interface(words[0] + "/assets.extra/interface.json",
                                 cv::FileStorage::READ | cv::FileStorage::FORMAT_JSON);
  if (!interface.isOpened()) throw std::runtime_error(words[0] + " is no export");
  cv::VideoCapture video(words[1]);
  if (!video.isOpened()) throw std::runtime_error(words[1] + " cannot be opened as a video");
  const int stride = interface["stride"], channels = interface["channels"];
  const double rate = video.get(cv::CAP_PROP_FPS);
  const double wanted = static_cast<double>(interface["fps"]);
  // Of a video that is slower, or faster by a hundredth at most, every frame is taken.
  const double ratio = rate > 1.01 * wanted && wanted > 0 ? rate / wanted : 1.0;

  Scorer scorer(words[0], interface);
  cv::Mat read, frame;
  int64_t taken = 0;
  for (int64_t number = 0; video.read(read); ++number) {
    if (number != std::llround(taken * ratio)) continue;
    ++taken;
    cv::Size size = read.size();
    if (words.size() == 4) size = cv::Size(std::stoi(words[3]), std::stoi(words[2]));
    if (size.height % stride != 0 || size.width % stride != 0)
      throw std::runtime_error("height and width must be divisible by " + std::to_string(stride));
    cv::cvtColor(read, frame, channels == 1 ? cv::COLOR_BGR2GRAY : cv::COLOR_BGR2RGB);
    if (size != frame.size()) frame = resized(frame, size);
    std::printf("%lld,%.9g\n", static_cast<long long>(number), scorer.step(frame));
  }
  if (taken == 0) throw std::runtime_error(words[1] + " has no frame that can be read");
  return 0;
}

int main(int count, char** words) {
  if (count != 3 && count != 5) {
    std::cerr << "usage: score_video EXPORTED/MODEL/VERSION VIDEO [HEIGHT WIDTH]\n";
    return 2;
  }
  try {
    return run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::cerr << "score_video: " << error.what() << "\n";
    return 1;
  }
}
